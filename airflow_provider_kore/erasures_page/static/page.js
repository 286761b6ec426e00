/** Shows erasures. Whatever comes from Airflow becomes text, and never markup. */

import { Erasures } from "./airflow.js";
import { ApiError, segment } from "./api.js";
import { byId, element, followLinks, isFramed, leaveFor, setting } from "./dom.js";
import {
  DAY,
  beginOf,
  compareRows,
  countGroups,
  daysLeft,
  erasedByDay,
  isNear,
  isUnsent,
  judgeAll,
  matches,
} from "./erasure.js";

const ROWS_A_PAGE = 50;
const REFRESH_SECONDS = 10;
const RENDER_PAUSE = 200; // milliseconds between two renderings while answers come in
const CHART_DAYS = 30;
const SKELETON_ROWS = 6;

// --- settings that the viewer has made in Airflow ---------------------------------------------------------------------

/** Formats moments in the time zone that the viewer has chosen in Airflow, in a form that sorts. */
function makeClock() {
  const form = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  try {
    return new Intl.DateTimeFormat("sv-SE", { ...form, timeZone: setting("timezone") ?? undefined });
  } catch {
    return new Intl.DateTimeFormat("sv-SE", form);
  }
}

let clock = makeClock();
const count = new Intl.NumberFormat("en");
const dayOfMoment = (moment) => Date.parse(`${clock.format(moment).slice(0, 10)}T00:00:00Z`) / DAY;
const today = () => dayOfMoment(Date.now());
const dateOfDay = (day) => new Date(day * DAY).toISOString().slice(0, 10);

// --- what to show -----------------------------------------------------------------------------------------------------

/** Before Airflow 3.3 a link to the framed page leaves its query with Airflow's own address. */
function readQuery() {
  let query = new URLSearchParams(location.search);
  if (isFramed && !location.search) {
    try {
      query = new URLSearchParams(window.parent.location.search);
    } catch {
      // The frame around is not Airflow's.
    }
  }
  return query;
}

const query = readQuery();
const scope = Object.fromEntries(
  [
    ["dagId", query.get("dag_id")],
    ["runId", query.get("dag_id") && query.get("run_id")],
    ["taskId", query.get("task_id")],
  ].filter(([, value]) => value),
);
const filters = { group: query.get("state") ?? "", dagId: query.get("dag") ?? "", text: query.get("text") ?? "" };
const erasures = new Erasures(scope, () => renderSoon());
const isNew = query.has("new"); // the form has just started the run
let page = 0;
let failure;
let lastAnswer;

function rememberFilters() {
  const kept = new URLSearchParams();
  const values = { dag_id: scope.dagId, run_id: scope.runId, task_id: scope.taskId };
  Object.assign(values, { state: filters.group, dag: filters.dagId, text: filters.text });
  for (const [name, value] of Object.entries(values)) if (value) kept.set(name, value);
  history.replaceState(null, "", `./${kept.size ? `?${kept}` : "?all"}`);
}

// --- making elements --------------------------------------------------------------------------------------------------

function shape(name, fields, title) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [field, value] of Object.entries(fields)) made.setAttribute(field, value);
  if (title) {
    const text = document.createElementNS("http://www.w3.org/2000/svg", "title");
    text.textContent = title;
    made.append(text);
  }
  return made;
}

const usersText = (number) => `${count.format(number)} ${number === 1 ? "user" : "users"}`;

function duration(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 60 / 24)} days`;
}

function daysText(left) {
  if (left === 0) return "due today";
  const days = `${Math.abs(left)} ${Math.abs(left) === 1 ? "day" : "days"}`;
  return left > 0 ? `${days} left` : `${days} over`;
}

const dagAddress = (row) => `../dags/${segment(row.dagId)}`;
const runAddress = (row) => `${dagAddress(row)}/runs/${segment(row.runId)}`;
const taskAddress = (row) =>
  `${runAddress(row)}/tasks/${segment(row.taskId)}${row.mapIndex < 0 ? "" : `/mapped/${row.mapIndex}`}`;

// --- the list ---------------------------------------------------------------------------------------------------------

const GROUPS_UNDER_WAY = new Set(["near", "open"]);

/** Write a moment as its time alone if it is of today. */
const momentText = (moment, now) =>
  dayOfMoment(moment) === dayOfMoment(now) ? clock.format(moment).slice(11) : clock.format(moment);

/** What a row shows; a row whose contents stay the same is not built again. */
function describe(row, now) {
  const { report } = row;
  return {
    group: row.group,
    label: row.label,
    moment: beginOf(row),
    age: duration(now - beginOf(row)),
    report: report === undefined ? "loading" : report && JSON.stringify(report),
    left: report?.deadline && row.group !== "done" ? daysLeft(report.deadline, now) : null,
    asOf: GROUPS_UNDER_WAY.has(row.group) && report?.updated ? momentText(report.updated, now) : null,
  };
}

function buildRow(row, shown) {
  const { report } = row;
  const started = new Date(shown.moment);
  const taskName = row.mapIndex < 0 ? row.taskName : `${row.taskName} [${row.mapIndex}]`;
  return [
    element(
      "td",
      { class: "time" },
      element("time", { datetime: started.toISOString(), title: started.toISOString() }, clock.format(started)),
    ),
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
    element("td", {}, element("span", { class: `state ${shown.group}` }, shown.label)),
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
  ].filter(([, number]) => number !== null);
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  for (const [name, number] of parts) {
    if (number === 0) continue;
    const part = element("span", { class: name });
    part.style.flexGrow = number;
    bar.append(part);
  }
  const details = parts.filter(([, number]) => number > 0).map(([, number, word]) => `${count.format(number)} ${word}`);
  if (report.found > 0) details.push(`${count.format(report.found)} still found`);
  if (report.notCheckable > 0) details.push(`${count.format(report.notCheckable)} not checkable`);
  if (asOf !== null && details.length > 0) details.push(`as of ${asOf}`); // a task that waits reports from time to time
  return [
    element("span", { class: "number" }, report.users === null ? "Number unknown" : usersText(report.users)),
    bar,
    element("span", { class: "quiet" }, details.join(" · ") || (isUnsent(report) ? "No erasure sent" : "Nothing known yet")),
  ];
}

function deadlineCell(report, left) {
  if (!report?.deadline) return [element("span", { class: "quiet" }, element("span", { class: "hidden" }, "No deadline"))];
  const { date, regime } = report.deadline;
  const urgency = left === null ? "quiet" : left < 0 ? "over" : isNear(left) ? "close" : "quiet";
  return [
    element("span", {}, date),
    element(
      "span",
      { class: urgency },
      [left === null ? null : daysText(left), regime?.toUpperCase()].filter(Boolean).join(" · "),
    ),
  ];
}

function receiptCell(report) {
  const receipt = report?.receipt;
  if (!receipt) return [element("span", { class: "hidden" }, "No receipt")];
  const name = receipt.split(/[/?#]/).filter(Boolean).at(-1) ?? receipt;
  if (/^https?:\/\//i.test(receipt)) {
    return [element("a", { href: receipt, title: receipt, "data-part": "receipt", rel: "noreferrer" }, name)];
  }
  return [
    element("button", { type: "button", class: "copy", title: receipt, "data-part": "receipt", "data-copy": receipt }, name),
  ];
}

const built = new Map(); // key of a row: its element, and what that shows

function renderRows(shownRows) {
  const focused = document.activeElement?.closest?.("#rows tr");
  const focusedKey = focused?.dataset.key;
  const focusedPart = document.activeElement?.dataset?.part;
  const now = Date.now();
  const elements = shownRows.map((row) => {
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
  const onScreen = new Set(shownRows.map((row) => row.key));
  for (const key of built.keys()) if (!onScreen.has(key)) built.delete(key);
  if (focusedKey !== undefined && !body.contains(document.activeElement)) {
    const tr = built.get(focusedKey)?.tr;
    (tr?.querySelector(`[data-part="${focusedPart}"]`) ?? byId("list")).focus({ preventScroll: true });
  }
}

function renderSkeleton() {
  if (byId("rows").querySelector(".skeleton")) return;
  const cell = () => element("td", {}, element("span", { class: "skeleton" }));
  byId("rows").replaceChildren(
    ...Array.from({ length: SKELETON_ROWS }, () => element("tr", { "aria-hidden": "true" }, ...Array.from({ length: 7 }, cell))),
  );
}

// --- above the list ---------------------------------------------------------------------------------------------------

function renderSummary() {
  const counts = countGroups(rows);
  for (const button of byId("groups").children) {
    const { rows: number, users } = counts[button.dataset.group];
    button.querySelector(".rows").textContent = count.format(number);
    button.querySelector(".users").textContent = usersText(users);
    button.setAttribute("aria-pressed", String(filters.group === button.dataset.group));
  }
}

let chartShown;

function renderChart() {
  const numbers = erasedByDay(rows, today(), CHART_DAYS, dayOfMoment);
  const shown = JSON.stringify([today(), numbers]);
  if (shown === chartShown) return;
  chartShown = shown;
  const total = numbers.reduce((sum, number) => sum + number, 0);
  const most = Math.max(...numbers, 1);
  const [width, height, step] = [300, 56, 10];
  const summary = `${usersText(total)} in ${CHART_DAYS} days`;
  const chart = shape("svg", {
    viewBox: `0 0 ${width} ${height}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": total ? `${summary}, at most ${count.format(most)} on one day` : summary,
  });
  numbers.forEach((number, index) => {
    const size = number === 0 ? 1 : Math.max(3, (number / most) * height);
    const day = dateOfDay(today() - CHART_DAYS + 1 + index);
    chart.append(
      shape(
        "rect",
        { x: index * step + 1, y: height - size, width: step - 2, height: size, rx: 1, class: number ? "" : "none" },
        `${day}: ${usersText(number)}`,
      ),
    );
  });
  byId("chart-bars").replaceChildren(chart);
  byId("chart-total").textContent = summary;
}

function renderDags() {
  const names = new Map(rows.map((row) => [row.dagId, row.dagName]));
  if (filters.dagId && !names.has(filters.dagId)) names.set(filters.dagId, filters.dagId);
  const options = [...names].sort(([, one], [, other]) => one.localeCompare(other));
  const select = byId("dag");
  const shown = [...select.options].slice(1).map((option) => [option.value, option.textContent]);
  if (JSON.stringify(shown) !== JSON.stringify(options)) {
    select.replaceChildren(
      select.options[0],
      ...options.map(([value, name]) => {
        const option = element("option", {}, name);
        option.value = value;
        return option;
      }),
    );
  }
  select.value = filters.dagId;
}

/** Say what is not loaded, since counts, search and order go by what is. */
function renderLoaded() {
  const { total, missingReports, missingTasks, isFetching } = erasures;
  const listed = erasures.rows.size;
  const parts = [];
  if (total !== undefined && found.length !== listed) parts.push(`${count.format(found.length)} match`);
  if (total > listed) parts.push(`${count.format(listed)} of ${count.format(total)} erasures are loaded`);
  if (missingReports > 0) {
    const reports = `details of ${count.format(listed - missingReports)} of ${count.format(listed)}`;
    parts.push(isFetching ? `loading ${reports}` : `${reports} are loaded; counts and search know those only`);
  }
  if (missingTasks > 0) parts.push(`how ${count.format(missingTasks)} tasks ended is not loaded, nor counted`);
  if (!erasures.seesTasks) parts.push("you may not see how the tasks stand, so states are as last reported");
  const text = parts.join("; ");
  const shown = text && `${text[0].toUpperCase()}${text.slice(1)}.`;
  if (byId("loaded").textContent !== shown) byId("loaded").textContent = shown;
  byId("loaded").setAttribute("aria-busy", String(isFetching)); // a screen reader need not count along
  byId("load-rest").hidden = isFetching || missingReports === 0 || failure !== undefined;
  byId("clear").hidden = !(filters.group || filters.dagId || filters.text);
}

function renderFreshness() {
  if (lastAnswer === undefined) return;
  const moment = clock.format(lastAnswer).slice(11);
  const isActive = erasures.isAnythingActive || isAwaited();
  byId("freshness").textContent = isActive
    ? `As of ${moment}. Refreshes every ${REFRESH_SECONDS} seconds while something is open.`
    : `As of ${moment}. Nothing is under way.`;
}

// --- states of the whole page -----------------------------------------------------------------------------------------

const FAILURES = {
  0: ["Airflow does not answer", "The network or the API server is away. What is below may be old.", "Try again"],
  401: ["Your session has ended", "Sign in to Airflow again to see erasures.", "Sign in"],
  403: [
    "You may not see erasures",
    "This page shows what tasks have reported as XComs, and you have no right to read XComs. Ask an administrator of Airflow for it.",
    null,
  ],
  404: ["There is no such DAG or run", "It may have been deleted.", null],
};

/** Whether the run that the form has started has reported nothing yet. */
const isAwaited = () => isNew && erasures.total === 0;

function messageOf() {
  if (failure !== undefined) {
    return FAILURES[failure] ?? ["Airflow cannot answer", `It answered with status ${failure}.`, "Try again"];
  }
  if (erasures.total === undefined) return null;
  if (isAwaited()) {
    return ["The run has started", "Its erasure appears here as soon as its task begins, after an approval if the DAG asks for one.", null];
  }
  if (rows.length === 0 && scope.dagId) {
    return ["Nothing is reported here", "No task of this DAG or run has reported an erasure, or its XComs are deleted.", null];
  }
  if (rows.length === 0) {
    return ["No erasures yet", "An erasure appears here as soon as a task of the Kore.ai provider begins to submit it, or refuses to.", null];
  }
  if (found.length === 0) return ["Nothing matches", "No erasure is what the filters ask for.", "Clear filters"];
  return null;
}

function renderMessage(message) {
  const box = byId("message");
  box.hidden = message === null;
  box.classList.toggle("failed", failure !== undefined);
  if (message === null) return;
  const [title, text, action] = message;
  if (byId("message-title").textContent !== title) byId("message-title").textContent = title;
  if (byId("message-text").textContent !== text) byId("message-text").textContent = text;
  byId("message-action").textContent = action ?? "";
  byId("message-action").hidden = action === null;
}

function actOnMessage() {
  if (failure === 401) leaveFor(new URL("../", document.baseURI).href);
  else if (failure === undefined) clearFilters();
  else void refresh();
}

let rows = []; // all that may be shown
let found = []; // those that the filters ask for, in order

function render() {
  rows = failure === 401 || failure === 403 ? [] : [...erasures.rows.values()];
  judgeAll(rows, Date.now());
  found = rows.filter((row) => matches(row, filters)).sort(compareRows);
  const isLoading = erasures.total === undefined && failure === undefined;
  byId("list").setAttribute("aria-busy", String(isLoading));
  byId("list").hidden = !isLoading && found.length === 0;
  byId("summary").hidden = byId("filters").hidden = !isLoading && rows.length === 0;
  renderMessage(messageOf());
  if (isLoading) {
    renderSkeleton();
    return;
  }
  renderList();
  renderSummary();
  renderChart();
  renderDags();
  renderLoaded();
  renderFreshness();
}

function renderList() {
  const lastPage = Math.max(0, Math.ceil(found.length / ROWS_A_PAGE) - 1);
  page = Math.min(page, lastPage);
  const first = page * ROWS_A_PAGE;
  const shown = found.slice(first, first + ROWS_A_PAGE);
  erasures.wanted = new Set(shown.map((row) => row.key));
  renderRows(shown);
  byId("pages").hidden = found.length <= ROWS_A_PAGE;
  byId("previous").disabled = page === 0;
  byId("next").disabled = page === lastPage;
  const [from, to, all] = [first + 1, first + shown.length, found.length].map((number) => count.format(number));
  byId("range").textContent = `${from}–${to} of ${all}`;
}

let renderTimer;
let renderedAt = -Infinity;

/** Render soon: the first answers at once, and the many that follow together. */
function renderSoon() {
  renderTimer ??= setTimeout(() => {
    renderTimer = undefined;
    render();
    renderedAt = performance.now();
  }, Math.max(0, renderedAt + RENDER_PAUSE - performance.now()));
}

// --- what the viewer does ---------------------------------------------------------------------------------------------

function show(changes) {
  Object.assign(filters, changes);
  page = 0;
  rememberFilters();
  render();
  void fetchShown();
}

function clearFilters() {
  byId("text").value = "";
  show({ group: "", dagId: "", text: "" });
  byId("text").focus();
}

function turn(pages) {
  page += pages;
  renderList();
  byId("list").focus({ preventScroll: true });
  byId("list").scrollIntoView({ block: "start" });
  void fetchShown();
}

async function fetchShown() {
  await attempt(() => erasures.fetchReports());
  if (failure !== undefined) refreshLater();
}

async function copy(event) {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    byId("loaded").textContent = "The receipt's address is copied.";
  } catch {
    byId("loaded").textContent = button.dataset.copy;
  }
}

// --- coming and staying up to date ------------------------------------------------------------------------------------

let refreshTimer;
let refreshing;

/** Do what asks Airflow, and keep what it fails by. */
async function attempt(job) {
  try {
    await job();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    failure = error.status;
  }
  renderSoon();
}

/** Only this changes how fresh all is: fetching more of what was listed before does not. */
async function fetchNews() {
  const asked = Date.now();
  await (erasures.isListed ? erasures.refresh() : erasures.load());
  failure = undefined;
  lastAnswer = asked;
}

function refreshLater() {
  clearTimeout(refreshTimer);
  const isWorthIt = failure === undefined ? erasures.isAnythingActive || isAwaited() : failure === 0 || failure >= 500;
  if (isWorthIt && !document.hidden) refreshTimer = setTimeout(refresh, REFRESH_SECONDS * 1000);
}

/** Fetch news, unless that is being done already. */
function refresh() {
  clearTimeout(refreshTimer);
  refreshing ??= attempt(fetchNews).finally(() => {
    refreshing = undefined;
    refreshLater();
  });
  return refreshing;
}

function showScope() {
  const { dagId, runId, taskId } = scope;
  byId("scope").hidden = !(dagId || taskId);
  const names = [taskId && `task ${taskId}`, runId && `run ${runId}`, dagId && `DAG ${dagId}`].filter(Boolean);
  byId("scope-text").textContent = `Only ${names.join(", ")}.`;
}

addEventListener("storage", (event) => {
  if (event.key === "timezone") {
    clock = makeClock();
    built.clear();
    renderSoon();
  }
});
addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(refreshTimer);
  else void refresh();
});
followLinks();
document.addEventListener("click", copy);
byId("refresh").addEventListener("click", () => void refresh());
byId("message-action").addEventListener("click", actOnMessage);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("text").addEventListener("input", (event) => show({ text: event.target.value.trim() }));
byId("dag").addEventListener("change", (event) => show({ dagId: event.target.value }));
byId("clear").addEventListener("click", clearFilters);
byId("load-rest").addEventListener("click", () => void attempt(() => erasures.fetchAllReports()));
byId("groups").addEventListener("click", (event) => {
  const group = event.target.closest("button")?.dataset.group;
  if (group) show({ group: filters.group === group ? "" : group });
});
byId("previous").addEventListener("click", () => turn(-1));
byId("next").addEventListener("click", () => turn(1));
setInterval(renderSoon, 30_000); // ages and days left change by themselves

byId("text").value = filters.text;
showScope();
rememberFilters();
render();
void refresh();
