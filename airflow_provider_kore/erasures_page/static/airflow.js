/**
 * Reads erasures from Airflow's public API, by GET alone.
 *
 * The API lists XComs without their values. So rows come from the list, and each value by a request of its own: first
 * what is on the screen, then what has failed, is open or is new. A value stays the same as long as its timestamp does.
 */

import { get, inParallel, instancePath, listIn, runPath, taskPath } from "./api.js";
import { EndedReports } from "./ended.js";
import { HIDDEN, isActive, isNotErased, keyOf, makeRow, readReport, takeInstance } from "./erasure.js";

const XCOM_KEY = "kore_erasure";
const PAGE_SIZE = 100;
const MOST_ROWS = 10_000;
const LISTS_AT_ONCE = 2;
const REPORTS_AT_ONCE = 4;
const REPORTS_UNASKED = 1_000;
const TASK_PAGES = 10;
/** All but "success": who is in none of these has succeeded. All of them are known since Airflow 3.1. */
const OTHER_STATES = [
  "none",
  "scheduled",
  "queued",
  "running",
  "restarting",
  "deferred",
  "up_for_retry",
  "up_for_reschedule",
  "failed",
  "upstream_failed",
  "skipped",
  "removed",
];
/** In these a task stays unless a user clears it, and then it is among the other states for a while. */
const FINAL_STATES = new Set(["success", "failed", "upstream_failed", "skipped", "removed"]);
/** In these a task without a report says nothing. */
const SILENT_STATES = new Set(["success", "skipped", "removed"]);

/** Whether a row needs a call of its own: who has succeeded is in no list, and neither is a note that may have changed. */
const isUnclear = (row) =>
  row.task === undefined ||
  (row.task === "success" && isNotErased(row) && (row.instance === undefined || row.reason !== undefined));

/** What was known of a task instance may be of an earlier attempt. */
const forgetInstance = (row, task) => Object.assign(row, { task, instance: undefined, reason: undefined });

/** The erasures that the viewer may see. */
export class Erasures {
  rows = new Map();
  /** How many there are in all; undefined until the first answer. */
  total = undefined;
  /** Whether all rows are there. */
  isListed = false;
  /** Whether the viewer may see how tasks stand. */
  seesTasks = true;
  /** Keys of rows on the screen, whose values come first. */
  wanted = new Set();

  #scope;
  #onChange;
  #ended = new EndedReports();
  #unasked = REPORTS_UNASKED;
  #isNewestFirst = true;
  #fetching = undefined;
  #queue = undefined;
  #failures = 0;
  #seen = new Set();

  /**
   * @param scope `{dagId, runId, taskId}`, any of which may be missing.
   * @param onChange called whenever there is more to show.
   */
  constructor(scope, onChange) {
    this.#scope = scope;
    this.#onChange = onChange;
    addEventListener("pagehide", () => this.#ended.save());
  }

  /** List all there is, and find out how each task stands and what it reports; the newest at once. */
  async load() {
    const page = await this.#list(0);
    this.#take(page);
    this.#onChange();
    await this.#findTasks();
    this.#onChange();
    const newest = this.fetchReports();
    await Promise.all([newest, this.#listAll(page).then(() => this.#findTasks())]);
    this.isListed = true;
    this.#onChange();
    await this.fetchReports();
  }

  /** List what is new since the last time. */
  async refresh() {
    const page = await this.#list(0);
    const isChanged = this.#take(page);
    // Before Airflow 3.2 the list has an order of its own, so that news can be anywhere in it.
    if (isChanged || !this.#isNewestFirst || this.#isMiscounted) await this.#listAll(page);
    for (const row of this.rows.values()) if (row.isUnlisted) await this.#forget(row);
    await this.#findTasks();
    this.#onChange();
    await this.fetchReports();
  }

  /** Fetch values, also of old erasures that have ended, which are not fetched unasked. */
  async fetchAllReports() {
    this.#unasked = Infinity;
    this.#queue = undefined;
    await this.fetchReports();
  }

  /** Whether something is missing, or is there no more. */
  get #isMiscounted() {
    let listed = 0;
    for (const row of this.rows.values()) listed += !row.isUnlisted;
    return listed !== this.total && this.total <= MOST_ROWS;
  }

  get missingReports() {
    let missing = 0;
    for (const row of this.rows.values()) missing += row.report === undefined;
    return missing;
  }

  /** How many rows have a report that may say too much, since it is not known how their tasks ended. */
  get missingTasks() {
    let missing = 0;
    for (const row of this.rows.values()) missing += row.report?.stage === "ended" && row.task === undefined;
    return missing;
  }

  get isFetching() {
    return this.#fetching !== undefined;
  }

  /** Fetch the values that are due; a call while others are fetched joins in. */
  async fetchReports() {
    this.#fetching ??= this.#fetchDue().finally(() => {
      this.#fetching = undefined;
      this.#ended.save();
      this.#onChange();
    });
    await this.#fetching;
  }

  async #fetchDue() {
    const underWay = new Set();
    this.#failures = 0;
    await inParallel(REPORTS_AT_ONCE, () => {
      const row = this.#mostUrgent(underWay);
      if (row === undefined) return undefined;
      underWay.add(row.key);
      return () => this.#fetchReport(row);
    });
    await this.#findUnclear([...this.wanted].map((key) => this.rows.get(key)).filter(Boolean));
  }

  #mostUrgent(underWay) {
    const isDue = (row) => row?.report === undefined && row !== undefined && !underWay.has(row.key);
    for (const key of this.wanted) if (isDue(this.rows.get(key))) return this.rows.get(key);
    this.#queue ??= [...this.rows.values()]
      .filter(isDue)
      .map((row) => [row.task === "success" ? 1 : 0, row.moment, row])
      .sort((one, other) => other[0] - one[0] || one[1] - other[1]);
    while (this.#queue.length > 0) {
      const [isDone, , row] = this.#queue.at(-1);
      if (isDone && this.#unasked <= 0) return undefined;
      this.#queue.pop();
      if (!isDue(row) || this.rows.get(row.key) !== row) continue;
      this.#unasked -= 1;
      return row;
    }
    return undefined;
  }

  async #fetchReport(row) {
    let entry;
    try {
      entry = await get(`${taskPath(row)}/xcomEntries/${XCOM_KEY}`, { map_index: row.mapIndex });
    } catch (error) {
      if (error.status === 404 && (row.isUnlisted || isActive(row))) await this.#forget(row);
      else if (error.status === 0 || error.status === 401 || this.#isBroken(error)) throw error;
      else row.report = null;
      this.#onChange();
      return;
    }
    this.#failures = 0;
    if (typeof entry?.timestamp === "string") row.timestamp = entry.timestamp;
    row.report = readReport(entry?.value);
    this.#ended.keep(row, entry?.value);
    // Whoever is in no list of other states has succeeded, unless it began or ended between two answers.
    if (row.task === "success" && row.report?.stage !== "ended") await this.#findTask(row);
    this.#onChange();
  }

  /** One value that cannot be read is shown as such; if none can be, Airflow is broken. */
  #isBroken(error) {
    this.#failures += error.status >= 500 ? 1 : 0;
    return this.#failures > REPORTS_AT_ONCE;
  }

  async #list(offset) {
    const { dagId = "~", runId = "~", taskId = "~" } = this.#scope;
    const page = await get(`${taskPath({ dagId, runId, taskId })}/xcomEntries`, { xcom_key: XCOM_KEY, order_by: "-timestamp", limit: PAGE_SIZE, offset });
    listIn(page, "xcom_entries");
    return page;
  }

  /** List what comes after the first page; of news only as far as it goes. */
  async #listAll(first) {
    this.#seen = new Set(first.xcom_entries.map(keyOf));
    const step = first.xcom_entries.length;
    const end = Math.min(first.total_entries, MOST_ROWS);
    let offset = step;
    let isCaughtUp = false;
    await inParallel(LISTS_AT_ONCE, () => {
      if (step === 0 || offset >= end || isCaughtUp) return undefined;
      const from = offset;
      offset += step;
      return async () => {
        const isChanged = this.#take(await this.#list(from));
        isCaughtUp ||= this.isListed && !isChanged && this.#isNewestFirst && !this.#isMiscounted;
        this.#onChange();
      };
    });
    if (!isCaughtUp && end === first.total_entries) {
      for (const row of this.rows.values()) if (!this.#seen.has(row.key)) await this.#forget(row);
    }
  }

  /** Forget what has no report any more, unless its task runs again: Airflow then deletes its report. */
  async #forget(row) {
    if (row.isUnlisted || isActive(row)) {
      await this.#findTask(row);
      row.isUnlisted = !SILENT_STATES.has(row.task);
    }
    if (!row.isUnlisted) this.rows.delete(row.key);
  }

  /** Add a page of the list; true if it has something new. */
  #take(page) {
    this.total = page.total_entries;
    let isChanged = false;
    let before = Infinity;
    for (const entry of page.xcom_entries) {
      const row = makeRow(entry);
      this.#isNewestFirst &&= row.moment <= before;
      before = row.moment;
      this.#seen.add(row.key);
      const known = this.rows.get(row.key);
      if (known?.timestamp === row.timestamp) continue;
      isChanged = true;
      const value = this.#ended.find(row);
      if (value !== undefined) row.report = readReport(value);
      row.task = known?.task;
      row.isTaskOld = true;
      this.rows.set(row.key, row);
      this.#queue = undefined;
    }
    return isChanged;
  }

  /** Find out which tasks have not succeeded. */
  async #findTasks() {
    if (!this.seesTasks) {
      this.#hideTasks();
      return;
    }
    const { dagId = "~", runId = "~" } = this.#scope;
    const instances = new Map();
    let isComplete = true;
    const taskIds = [...new Set([...this.rows.values()].map((row) => row.taskId))];
    try {
      await inParallel(LISTS_AT_ONCE, () => {
        const taskId = taskIds.pop();
        if (taskId === undefined) return undefined;
        return async () => {
          if (!(await this.#listTasks(dagId, runId, taskId, instances))) isComplete = false;
        };
      });
    } catch (error) {
      if (error.status !== 403) throw error;
      this.seesTasks = false;
      this.#hideTasks();
      return;
    }
    this.#queue = undefined;
    for (const row of this.rows.values()) {
      const instance = instances.get(row.key);
      // Beyond what is listed a task can have failed long ago, so it is asked for by itself, and once.
      const isKnown = !row.isTaskOld && (isComplete ? row.task === "success" : FINAL_STATES.has(row.task));
      if (instance !== undefined) takeInstance(row, instance);
      else if (!isKnown) forgetInstance(row, isComplete ? "success" : undefined);
      row.isTaskOld = false;
      if (row.task === "success" && row.report && row.report.stage !== "ended") row.task = undefined;
    }
    const unclear = [...this.rows.values()].filter(isUnclear);
    const isSaidToEnd = (row) => Number(row.report?.stage === "ended");
    unclear.sort((one, other) => isSaidToEnd(one) - isSaidToEnd(other) || other.moment - one.moment);
    await this.#findUnclear(unclear.slice(0, PAGE_SIZE));
  }

  #hideTasks() {
    for (const row of this.rows.values()) forgetInstance(row, HIDDEN);
  }

  /** Find out how each of these tasks stands and whether it is dealt with, as far as that is not known. */
  async #findUnclear(rows) {
    if (!this.seesTasks) return;
    const due = rows.filter(isUnclear);
    await inParallel(REPORTS_AT_ONCE, () => {
      const row = due.pop();
      return row && (() => this.#findTask(row, row.task));
    });
  }

  async #listTasks(dagId, runId, taskId, instances) {
    const parameters = [
      ["task_id", taskId],
      ["order_by", "-start_date"],
      ["limit", PAGE_SIZE],
      ...OTHER_STATES.map((state) => ["state", state]),
    ];
    let offset = 0;
    let total;
    for (let pages = 0; pages < TASK_PAGES; pages += 1) {
      const page = await get(`${runPath(dagId, runId)}/taskInstances`, [...parameters, ["offset", offset]]);
      for (const entry of listIn(page, "task_instances")) {
        instances.set(keyOf({ ...entry, run_id: entry.dag_run_id }), entry);
      }
      total ??= page.total_entries;
      if (total !== page.total_entries) return false; // it grew or shrank, so that some may be on no page
      offset += page.task_instances.length;
      if (offset >= total) return true;
      if (page.task_instances.length === 0) return false;
    }
    return false;
  }

  /** @param otherwise what the task counts as if Airflow does not tell. */
  async #findTask(row, otherwise) {
    try {
      takeInstance(row, await get(instancePath(row)));
    } catch (error) {
      forgetInstance(row, error.status === 404 ? "removed" : otherwise);
    }
  }

  /** Whether anything may still happen by itself. */
  get isAnythingActive() {
    for (const row of this.rows.values()) if (isActive(row)) return true;
    return false;
  }
}
