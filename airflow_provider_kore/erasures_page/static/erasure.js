/**
 * What is known of an erasure, and what follows from it. Knows neither the page nor the network.
 *
 * A row stands for the task instance of an erase task or a sensor. Its report is the XCom that the task sets at each
 * stage. Absence of a report is never success: what cannot be read, or only in part, proves nothing.
 */

import { reasonIn } from "./note.js";

/** The form of reports that this page understands; a task of a newer version may mean something else by the same words. */
const VERSION = 1;

export const DAY = 86_400_000; // milliseconds

/** With fewer days left than these, a deadline is near, and the task's log warns of it. */
const NEAR_DAYS = 7;

/** The groups in the order in which they need attention. */
export const GROUPS = ["not_erased", "near", "open", "dealt_with", "done"];

/** The group of rows of which too little is loaded to say; they are counted nowhere. */
const UNKNOWN = "unknown";

/** In these groups nothing needs attention. */
const SETTLED = new Set(["dealt_with", "done", UNKNOWN]);

/** The state of a task instance whose state the viewer may not see. */
export const HIDDEN = "hidden";

const FAILED = new Set(["failed", "upstream_failed"]);
const STARTING = new Set(["scheduled", "queued", "restarting", "none"]);
const STAGES = new Map([
  ["submitting", "Submitting"],
  ["waiting", "Waiting"],
  ["verifying", "Verifying"],
  ["ended", "Ending"],
]);

/** Where a task ended before an erasure was sent, so that no user is being erased. */
const UNSENT = new Map([
  ["exporting", "Not exported"],
  ["deleting_recordings", "Recordings left"],
  ["refused", "Refused"],
]);

/** The task does not wait for what it submitted. */
const SUBMITTED = "Submitted";

const isAbsent = (value) => value === undefined || value === null;
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const countOf = (value) => (isCount(value) ? value : null);
const textOf = (value) => (typeof value === "string" && value !== "" ? value : null);
const objectOf = (value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : null);

/** Read a moment, as milliseconds. */
function momentOf(value) {
  const moment = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(moment) ? null : moment;
}

/** Whether all of a report that can make it a success is there, and is what it should be. */
function isUnderstood(fields) {
  const counts = [fields.user_count, fields.erased, fields.open, fields.not_erased];
  const { stage, verification } = fields;
  return (
    fields.version === VERSION &&
    (STAGES.has(stage) || UNSENT.has(stage)) &&
    typeof fields.dry_run === "boolean" &&
    (isAbsent(fields.submits) || typeof fields.submits === "boolean") &&
    counts.every((count) => isAbsent(count) || isCount(count)) &&
    (isAbsent(verification) || (isCount(verification.found) && isCount(verification.not_checkable)))
  );
}

/** Read the value of an XCom; null if it is not understood. Some stores of XComs give a path in place of the value. */
export function readReport(value) {
  if (typeof value === "string") {
    try {
      value = JSON.parse(value);
    } catch {
      return null;
    }
  }
  const fields = objectOf(value);
  if (fields === null || !isUnderstood(fields)) return null;
  const verification = objectOf(fields.verification);
  const deadline = objectOf(fields.deadline);
  const endsAt = momentOf(deadline?.ends_at);
  return {
    stage: fields.stage,
    host: textOf(fields.host),
    bots: Array.isArray(fields.bot_ids) ? fields.bot_ids.filter((bot) => textOf(bot) !== null) : [],
    users: countOf(fields.user_count),
    erased: countOf(fields.erased),
    open: countOf(fields.open),
    notErased: countOf(fields.not_erased),
    started: momentOf(fields.started),
    updated: momentOf(fields.updated),
    deadline: endsAt === null ? null : { endsAt, date: textOf(deadline.due_on) ?? "", regime: textOf(deadline.regime) },
    receipt: textOf(fields.receipt),
    dryRun: fields.dry_run === true,
    submits: typeof fields.submits === "boolean" ? fields.submits : null,
    found: countOf(verification?.found),
    notCheckable: countOf(verification?.not_checkable),
  };
}

/** Name a task instance, as a key. */
export const keyOf = (entry) => JSON.stringify([entry.dag_id, entry.run_id, entry.task_id, entry.map_index ?? -1]);

/** Make a row of an entry of the list of XComs, which has no value. */
export function makeRow(entry) {
  return {
    key: keyOf(entry),
    dagId: String(entry.dag_id),
    dagName: textOf(entry.dag_display_name) ?? String(entry.dag_id),
    runId: String(entry.run_id),
    taskId: String(entry.task_id),
    taskName: textOf(entry.task_display_name) ?? String(entry.task_id),
    mapIndex: Number.isInteger(entry.map_index) ? entry.map_index : -1,
    timestamp: String(entry.timestamp),
    moment: momentOf(entry.timestamp) ?? 0,
    report: undefined, // not fetched yet; null if it cannot be read
    task: undefined, // the state of the task instance, as far as it is known
    instance: undefined, // its id, which is another one after each attempt
    reason: undefined, // why its failure is dealt with
  };
}

/** Read how a task instance stands, and whether its failure is dealt with. */
export function takeInstance(row, { state, id, note }) {
  row.task = state ?? "none";
  row.instance = textOf(id) ?? undefined;
  row.reason = row.instance && reasonIn(textOf(note) ?? "", row.instance);
}

/** Whether no erasure was sent to Kore.ai, so that no user is being erased. */
export const isUnsent = (report) => report.dryRun || UNSENT.has(report.stage);

/** When the erasure began, as far as that is known. */
export const beginOf = (row) => row.report?.started ?? row.moment;

/** Count the days that are left, by the end of the last one: 0 on that day, wherever the viewer is. */
export const daysLeft = ({ endsAt }, now) => Math.floor((endsAt - now) / DAY);

export const isNear = (left) => left < NEAR_DAYS;

const isProven = ({ users, erased, open, notErased }) => users > 0 && erased === users && open === 0 && notErased === 0;

/**
 * Find the group of a row, and the name of its state.
 *
 * @param row a row.
 * @param now in milliseconds.
 * @param isWaitedFor whether sensors of the same run wait for the users whom this task submitted.
 */
function judge(row, now, isWaitedFor = false) {
  const { group, label } = verdict(row, isWaitedFor);
  if (group === "not_erased" && row.reason) return { group: "dealt_with", label, isWaitedFor };
  const deadline = row.report?.deadline;
  const isUrgent = group === "open" && deadline && isNear(daysLeft(deadline, now));
  return { group: isUrgent ? "near" : group, label, isWaitedFor };
}

/** Whether users of a row may not be erased, also if that is dealt with. */
export const isNotErased = (row) => verdict(row, false).group === "not_erased";

function verdict({ report, task }, isWaitedFor) {
  if (!report) return verdictOfTask(task, report === null);
  const isTaskUnknown = task === undefined || task === HIDDEN;
  const hasEnded = report.stage === "ended" && (task === HIDDEN || task === "success");
  const unsent = UNSENT.get(report.stage);
  if (unsent && (isTaskUnknown || FAILED.has(task))) return { group: "not_erased", label: unsent };
  if (FAILED.has(task)) return { group: "not_erased", label: report.notErased > 0 ? "Not erased" : "Failed" };
  if (report.dryRun && (hasEnded || task === "success")) return { group: "done", label: "Dry run" };
  if (report.found > 0) return { group: "not_erased", label: "Still found" };
  if (report.notErased > 0 && task !== "up_for_retry") return { group: "not_erased", label: "Not erased" };
  if (hasEnded) {
    if (isProven(report)) return { group: "done", label: "Erased" };
    return { group: isWaitedFor ? "done" : "open", label: SUBMITTED };
  }
  if (task === undefined && report.stage === "ended") return { group: UNKNOWN, label: "Not loaded" }; // it may have failed
  if (task === "success" || task === "skipped" || task === "removed") {
    if (isProven(report)) return { group: "done", label: "Erased" };
    return { group: "not_erased", label: { success: "Unproven", skipped: "Skipped", removed: "Removed" }[task] };
  }
  return { group: "open", label: runningLabel(task, STAGES.get(report.stage) ?? "Running") };
}

function verdictOfTask(task, isUnreadable) {
  if (FAILED.has(task)) return { group: "not_erased", label: "Failed" };
  if (task === "skipped") return { group: "not_erased", label: "Skipped" };
  if (task === "removed") return { group: "not_erased", label: "Removed" };
  if (!isUnreadable && (task === "success" || task === HIDDEN)) return { group: UNKNOWN, label: "Not loaded" };
  if (task === "success") return { group: "not_erased", label: "Unproven" };
  if (task === undefined || task === HIDDEN) return { group: "open", label: "Unknown" };
  return { group: "open", label: runningLabel(task, "Running") };
}

function runningLabel(task, label) {
  if (task === "up_for_retry") return "Will retry";
  return STARTING.has(task) ? "Queued" : label;
}

/** Whether the row's task may still report something. */
export const isActive = (row) =>
  !SETTLED.has(row.group) &&
  !FAILED.has(row.task) &&
  !(row.task === "success" && (!row.report || row.report.stage === "ended"));

/** Judge all rows, once what is known of them or the day has changed. */
export function judgeAll(rows, now) {
  const runs = new Map();
  for (const row of rows) {
    Object.assign(row, judge(row, now));
    const run = JSON.stringify([row.dagId, row.runId]);
    if (!runs.has(run)) runs.set(run, []);
    runs.get(run).push(row);
  }
  for (const siblings of runs.values()) {
    const submitted = siblings.filter((row) => row.label === SUBMITTED);
    const sensors = siblings.filter((row) => row.report?.submits === false);
    for (const row of submitted) Object.assign(row, judge(row, now, isWaitedFor(row, submitted, sensors)));
  }
}

/** Reports do not say which sensor waits for which task. So all submitted users are waited for, or none. */
function isWaitedFor(row, submitted, sensors) {
  const begun = sensors.filter((sensor) => beginOf(sensor) >= beginOf(row));
  const [waitedFor, all] = [begun, submitted].map((rows) =>
    rows.reduce((sum, { report }) => sum + (report.host === row.report.host ? report.users : 0), 0),
  );
  const isCounted = submitted.every(({ report }) => report.users !== null);
  return begun.length > 0 && isCounted && waitedFor >= all;
}

/** Order rows by what needs attention first: not erased, near its deadline, open; then by deadline, then newest. */
export function compareRows(one, other) {
  const [oneRank, otherRank] = [one, other].map(({ group }) => (SETTLED.has(group) ? GROUPS.length : GROUPS.indexOf(group)));
  if (oneRank !== otherRank) return oneRank - otherRank;
  if (oneRank !== GROUPS.length) {
    const [oneDue, otherDue] = [one, other].map((row) => row.report?.deadline?.endsAt ?? Infinity);
    if (oneDue !== otherDue) return oneDue - otherDue;
  }
  return beginOf(other) - beginOf(one) || (one.key < other.key ? -1 : 1);
}

/** Whether a row is what the filters ask for. */
export function matches(row, { group, dagId, text }) {
  if (group && row.group !== group) return false;
  if (dagId && row.dagId !== dagId) return false;
  if (!text) return true;
  const { report } = row;
  const words = [row.dagId, row.dagName, row.runId, row.taskId, row.taskName, row.label];
  if (row.group === "dealt_with") words.push("Dealt with", row.reason);
  if (report) words.push(report.host, report.receipt, report.deadline?.regime, report.deadline?.date, ...report.bots);
  return words.filter(Boolean).join("\n").toLowerCase().includes(text.toLowerCase());
}

/** Count rows and users of each group; users whom a sensor waits for are counted in the row of the sensor. */
export function countGroups(rows) {
  const counts = Object.fromEntries(GROUPS.map((group) => [group, { rows: 0, users: 0 }]));
  for (const row of rows) {
    if (row.group === UNKNOWN) continue;
    counts[row.group].rows += 1;
    if (!row.isWaitedFor) counts[row.group].users += row.report?.users ?? 0;
  }
  return counts;
}

/** Count the users erased on each of the last days, the oldest first. */
export function erasedByDay(rows, today, days, dayOfMoment) {
  const counts = new Array(days).fill(0);
  for (const { report } of rows) {
    if (!report || report.dryRun || !report.erased || report.updated === null) continue;
    const index = days - 1 - (today - dayOfMoment(report.updated));
    if (index >= 0 && index < days) counts[index] += report.erased;
  }
  return counts;
}
