/** Shows erasures. Whatever comes from Airflow becomes text, and never markup. */

import { Erasures } from "./airflow.js";
import { ApiError } from "./api.js";
import { askRights, openAside } from "./aside.js";
import { renderChart } from "./chart.js";
import { byId, followLinks, isFramed, leaveFor, option } from "./dom.js";
import { compareRows, countGroups, judgeAll, matches } from "./erasure.js";
import { focusPart, renderRows, renderSkeleton } from "./rows.js";
import { count, timeOf, usersText } from "./words.js";

const ROWS_A_PAGE = 50;
const REFRESH_SECONDS = 10;
const RENDER_PAUSE = 200; // milliseconds between two renderings while answers come in

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

// --- above the list ---------------------------------------------------------------------------------------------------

function renderSummary() {
  const counts = countGroups(rows);
  for (const button of byId("groups").children) {
    const { rows: number, users } = counts[button.dataset.group];
    button.querySelector(".rows").textContent = count(number);
    button.querySelector(".users").textContent = usersText(users);
    button.setAttribute("aria-pressed", String(filters.group === button.dataset.group));
  }
}

function renderDags() {
  const names = new Map(rows.map((row) => [row.dagId, row.dagName]));
  if (filters.dagId && !names.has(filters.dagId)) names.set(filters.dagId, filters.dagId);
  const options = [...names].sort(([, one], [, other]) => one.localeCompare(other));
  const select = byId("dag");
  const shown = [...select.options].slice(1).map(({ value, textContent }) => [value, textContent]);
  if (JSON.stringify(shown) !== JSON.stringify(options)) {
    select.replaceChildren(select.options[0], ...options.map(([value, name]) => option(value, name)));
  }
  select.value = filters.dagId;
}

/** Say what is not loaded, since counts, search and order go by what is. */
function renderLoaded() {
  const { total, missingReports, missingTasks, isFetching } = erasures;
  const listed = erasures.rows.size;
  const parts = [];
  if (total !== undefined && found.length !== listed) parts.push(`${count(found.length)} match`);
  if (total > listed) parts.push(`${count(listed)} of ${count(total)} erasures are loaded`);
  if (missingReports > 0) {
    const reports = `details of ${count(listed - missingReports)} of ${count(listed)}`;
    parts.push(isFetching ? `loading ${reports}` : `${reports} are loaded; counts and search know those only`);
  }
  if (missingTasks > 0) parts.push(`how ${count(missingTasks)} tasks ended is not loaded, nor counted`);
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
  const moment = timeOf(lastAnswer);
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
  renderChart(rows);
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
  askRights(shown, renderSoon);
  byId("pages").hidden = found.length <= ROWS_A_PAGE;
  byId("previous").disabled = page === 0;
  byId("next").disabled = page === lastPage;
  const [from, to, all] = [first + 1, first + shown.length, found.length].map(count);
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
  say("");
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

function say(text) {
  byId("said").textContent = text;
}

async function copy(text) {
  await navigator.clipboard.writeText(text).then(
    () => say("The receipt's address is copied."),
    () => say(text),
  );
}

function putAside(row) {
  const onDone = (words) => {
    render();
    say(words);
  };
  openAside(row, onDone, () => focusPart(row.key, "aside"));
}

function actInRow({ target }) {
  const button = target.closest?.("#rows button");
  if (button?.dataset.copy) void copy(button.dataset.copy);
  else if (button) putAside(erasures.rows.get(button.closest("tr").dataset.key));
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
  if (event.key === "timezone") renderSoon();
});
addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(refreshTimer);
  else void refresh();
});
followLinks();
byId("rows").addEventListener("click", actInRow);
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
