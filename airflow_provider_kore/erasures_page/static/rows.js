/** Builds the rows of the list. */

import { segment } from "./api.js";
import { mayPutAside } from "./aside.js";
import { byId, element } from "./dom.js";
import { beginOf, daysLeft, isNear, isUnsent } from "./erasure.js";
import { count, dateAndTime, daysText, duration, momentText, usersText } from "./words.js";

const SKELETON_ROWS = 6;
const GROUPS_UNDER_WAY = new Set(["near", "open"]);
const GROUPS_WITHOUT_HASTE = new Set(["done", "dealt_with"]);

const dagAddress = (row) => `../dags/${segment(row.dagId)}`;
const runAddress = (row) => `${dagAddress(row)}/runs/${segment(row.runId)}`;
const taskAddress = (row) =>
  `${runAddress(row)}/tasks/${segment(row.taskId)}${row.mapIndex < 0 ? "" : `/mapped/${row.mapIndex}`}`;

/** What a row shows; a row whose contents stay the same is not built again. */
function describe(row, now) {
  const { report } = row;
  return {
    group: row.group,
    label: row.label,
    reason: row.group === "dealt_with" ? row.reason : null,
    mayPutAside: mayPutAside(row),
    moment: dateAndTime(beginOf(row)),
    age: duration(now - beginOf(row)),
    report: report === undefined ? "loading" : report && JSON.stringify(report),
    left: report?.deadline && !GROUPS_WITHOUT_HASTE.has(row.group) ? daysLeft(report.deadline, now) : null,
    asOf: GROUPS_UNDER_WAY.has(row.group) && report?.updated ? momentText(report.updated) : null,
  };
}

function buildRow(row, shown) {
  const { report } = row;
  const started = new Date(beginOf(row)).toISOString();
  const taskName = row.mapIndex < 0 ? row.taskName : `${row.taskName} [${row.mapIndex}]`;
  return [
    element("td", { class: "time" }, element("time", { datetime: started, title: started }, shown.moment)),
    element(
      "th",
      { scope: "row" },
      element("a", { href: dagAddress(row), "data-part": "dag", title: row.dagId }, row.dagName),
      element(
        "span",
        { class: "run" },
        element("a", { href: runAddress(row), "data-part": "run" }, row.runId),
        " · ",
        element("a", { href: taskAddress(row), "data-part": "task" }, taskName),
      ),
    ),
    element("td", { class: "users" }, ...usersCell(report, shown.asOf)),
    element("td", { class: "standing" }, ...stateCell(row, shown)),
    element("td", { class: "time" }, shown.age),
    element("td", { class: "time" }, ...deadlineCell(report, shown.left)),
    element("td", { class: "receipt" }, ...receiptCell(report)),
  ];
}

function usersCell(report, asOf) {
  if (report === undefined) {
    return [element("span", { class: "skeleton", "aria-hidden": "true" }), element("span", { class: "hidden" }, "Loading")];
  }
  if (report === null) return [element("span", { class: "quiet" }, "Report not readable")];
  const parts = [
    ["erased", report.erased, "erased"],
    ["open", report.open, "open"],
    ["not-erased", report.notErased, "not erased"],
  ].filter(([, number]) => number > 0);
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  for (const [name, number] of parts) {
    const part = element("span", { class: name });
    part.style.flexGrow = number;
    bar.append(part);
  }
  const details = parts.map(([, number, word]) => `${count(number)} ${word}`);
  if (report.found > 0) details.push(`${count(report.found)} still found`);
  if (report.notCheckable > 0) details.push(`${count(report.notCheckable)} not checkable`);
  if (asOf !== null && details.length > 0) details.push(`as of ${asOf}`); // a task that waits reports from time to time
  return [
    element("span", { class: "number" }, report.users === null ? "Number unknown" : usersText(report.users)),
    bar,
    element("span", { class: "quiet" }, details.join(" · ") || (isUnsent(report) ? "No erasure sent" : "Nothing known yet")),
  ];
}

function stateCell(row, { group, label, reason, mayPutAside: hasButton }) {
  const name = reason === null ? label : "Dealt with";
  const action = reason === null ? "Put aside" : "Take back";
  const fields = { type: "button", class: "small", "data-part": "aside", "aria-label": `${action}: ${row.taskName} of ${row.runId}` };
  return [
    element("span", { class: `state ${group}` }, name),
    reason && element("span", { class: "reason" }, `${label}: ${reason}`),
    hasButton ? element("button", fields, action) : null,
  ].filter(Boolean);
}

function deadlineCell(report, left) {
  if (!report?.deadline) return [element("span", { class: "hidden" }, "No deadline")];
  const { date, regime } = report.deadline;
  const urgency = left === null ? "quiet" : left < 0 ? "over" : isNear(left) ? "close" : "quiet";
  const words = [left === null ? null : daysText(left), regime?.toUpperCase()];
  return [element("span", {}, date), element("span", { class: urgency }, words.filter(Boolean).join(" · "))];
}

function receiptCell(report) {
  const receipt = report?.receipt;
  if (!receipt) return [element("span", { class: "hidden" }, "No receipt")];
  const name = receipt.split(/[/?#]/).filter(Boolean).at(-1) ?? receipt;
  const fields = { title: receipt, "data-part": "receipt" };
  if (/^https?:\/\//i.test(receipt)) return [element("a", { ...fields, href: receipt, rel: "noreferrer" }, name)];
  return [element("button", { ...fields, type: "button", class: "small", "data-copy": receipt }, name)];
}

const built = new Map(); // key of a row: its element, and what that shows

/** Show these rows and no others; the focus stays in its row. */
export function renderRows(rows) {
  const focused = document.activeElement;
  const focusedKey = focused?.closest?.("#rows tr")?.dataset.key;
  const now = Date.now();
  const elements = rows.map((row) => {
    const shown = describe(row, now);
    const signature = JSON.stringify(shown);
    let known = built.get(row.key);
    if (known?.signature !== signature) {
      const tr = known?.tr ?? element("tr", { "data-key": row.key });
      tr.replaceChildren(...buildRow(row, shown));
      known = { tr, signature };
      built.set(row.key, known);
    }
    return known.tr;
  });
  const body = byId("rows");
  const isSame = body.children.length === elements.length && elements.every((tr, index) => body.children[index] === tr);
  if (!isSame) body.replaceChildren(...elements);
  const onScreen = new Set(rows.map((row) => row.key));
  for (const key of built.keys()) if (!onScreen.has(key)) built.delete(key);
  if (focusedKey !== undefined && !body.contains(document.activeElement)) focusPart(focusedKey, focused.dataset.part);
}

/** Focus a part of a row, or the list if it is no more there. */
export function focusPart(key, part) {
  (built.get(key)?.tr.querySelector(`[data-part="${part}"]`) ?? byId("list")).focus({ preventScroll: true });
}

/** Show that rows are being loaded. */
export function renderSkeleton() {
  if (byId("rows").querySelector(".skeleton")) return;
  const cell = () => element("td", {}, element("span", { class: "skeleton" }));
  const row = () => element("tr", { "aria-hidden": "true" }, ...Array.from({ length: 7 }, cell));
  byId("rows").replaceChildren(...Array.from({ length: SKELETON_ROWS }, row));
}
