/**
 * The form "New erasure": seals user ids in the browser, lets a DAG preview them, and erases what was previewed.
 *
 * The ids stand in the form's field until they are sealed, and nowhere else: not in an address, a storage, a log or a
 * request. The sealed text is kept until the run that erases has started.
 */

import { ApiError, segment } from "./api.js";
import { byId, element, followLinks, option } from "./dom.js";
import { IdsError, Table, readFile, readLines } from "./ids.js";
import { findDags, findReason, startRun, waitForPreview } from "./runs.js";
import { SealError, readKey, seal } from "./seal.js";
import { count, usersText } from "./words.js";

const HOURS_TO_START = 24; // for the preview, and for the erasure after it
const FIELDS = ["ids", "bots", "received"];

const dags = new Map();
let table; // of the chosen file, if that is one
let fileText; // of the chosen file otherwise
let suggestedBots = ""; // what the form has put into the field by itself
let planned; // {dagId, conf, runId} of what was previewed; the last as soon as it is to be erased
let waiting; // for a preview: stops it

/** What is wrong with a field of the form. */
class FieldError extends Error {
  constructor(field, text) {
    super(text);
    this.field = field;
  }
}

/** Why a preview has failed, and the run that says more. */
class PreviewError extends Error {
  constructor(reason, address) {
    super(reason ?? "The log of the run says why.");
    this.address = address;
  }
}

const AGAIN = "Enter the user ids again, if they are gone from the form.";
const FAILURES = {
  0: ["Airflow does not answer", `The network or the API server is away. Try again. ${AGAIN}`],
  400: ["Airflow refuses the run", `A value does not fit the DAG. Check bots and day, or ask the owner of the DAG. ${AGAIN}`],
  401: ["Your session has ended", `Sign in to Airflow, and come back. ${AGAIN}`],
  403: ["You may not do this", "Ask an administrator of Airflow for the right to run the DAG and to see what it returns."],
  404: ["The DAG or its run is gone", "It may have been renamed or deleted. Load this page again."],
};

// --- messages ---------------------------------------------------------------------------------------------------------

function showMessage(title, text, link) {
  byId("message").hidden = title === undefined;
  byId("message-title").textContent = title ?? "";
  byId("message-text").textContent = text ?? "";
  if (link) byId("message-text").append(" ", element("a", { href: link.address }, link.text));
}

function showStatus(text) {
  byId("status").textContent = text;
}

function showFault(field, text) {
  byId(`${field}-fault`).textContent = text ?? "";
  byId(`${field}-fault`).hidden = text === undefined;
  byId(field).setAttribute("aria-invalid", String(text !== undefined));
  if (text !== undefined) byId(field).focus();
}

function clearMessages() {
  showMessage();
  for (const field of FIELDS) showFault(field);
}

/** Say what has failed. Nothing of an error is shown that can contain a user id. */
function tell(error) {
  showStatus("");
  if (error instanceof IdsError) showFault("ids", error.message);
  else if (error instanceof FieldError) showFault(error.field, error.message);
  else if (error instanceof SealError) showMessage("This cannot be sealed", error.message);
  else if (error instanceof PreviewError) {
    const run = { address: error.address, text: "Open the run." };
    showMessage("The preview has failed, and nothing is erased", error.message, run);
  } else if (error instanceof ApiError) {
    const [title, text] = FAILURES[error.status] ?? ["Airflow cannot answer", `It answered with status ${error.status}. ${AGAIN}`];
    showMessage(title, text, error.status === 401 ? { address: "../", text: "Sign in." } : undefined);
  } else showMessage("The form has failed", "Load this page again. If a run has started, Airflow lists it.");
}

/** Do one thing at a time: what is asked for meanwhile is dropped, so that a double click starts one run. */
let isBusy = false;
async function once(job) {
  if (isBusy) return;
  setBusy(true);
  const failure = await job().then(() => undefined, (error) => error);
  setBusy(false);
  if (failure !== undefined) tell(failure); // its field takes the focus only now
}

function setBusy(value) {
  isBusy = value;
  for (const id of ["fields", "preview", "erase", "discard"]) byId(id).disabled = value;
  byId("form").setAttribute("aria-busy", String(value));
}

// --- the fields -------------------------------------------------------------------------------------------------------

function forgetFile() {
  table = fileText = undefined;
  byId("column-row").hidden = true;
  byId("column").replaceChildren();
}

function clearUsers() {
  byId("ids").value = "";
  byId("file").value = "";
  forgetFile();
}

async function chooseFile() {
  forgetFile();
  showFault("ids");
  const [file] = byId("file").files;
  if (file === undefined) return;
  const text = await readFile(file);
  if (!/\.(csv|tsv)$/i.test(file.name)) {
    fileText = text;
    return;
  }
  table = new Table(text);
  byId("column").replaceChildren(...table.choices.map(({ name }, index) => option(index, name)));
  byId("column").value = table.usual;
  byId("column-row").hidden = false;
}

function readUsers() {
  const pasted = byId("ids").value;
  const isFile = table !== undefined || fileText !== undefined;
  if (pasted.trim() !== "" && isFile) throw new IdsError("There are user ids in the field and in the file: keep the one or the other.");
  const users = table?.read(byId("column").value) ?? readLines(fileText ?? pasted);
  if (users.length === 0) throw new IdsError("There is no user id.");
  return users;
}

function readBots() {
  const bots = byId("bots").value.split(/[\s,]+/).filter(Boolean);
  if (bots.length === 0) throw new FieldError("bots", "Name at least one bot.");
  return bots;
}

function readReceived() {
  const day = byId("received").value;
  if (day === "") throw new FieldError("received", "Choose the day on which the request came in.");
  return day;
}

function showDag() {
  const { params, isPaused, key } = dags.get(byId("dag").value);
  byId("key").textContent = `Sealed to the key ${key.kid}.`;
  byId("paused").hidden = !isPaused;
  if (byId("bots").value === suggestedBots) {
    const bots = params.bot_ids.value;
    byId("bots").value = suggestedBots = Array.isArray(bots) ? bots.join("\n") : "";
  }
  const regime = params.regime.value;
  if ([...byId("regime").options].some(({ value }) => value === regime)) byId("regime").value = regime;
}

async function addDag(dag) {
  try {
    dag.key = await readKey(dag.jwk);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    showMessage(`The DAG ${dag.name} cannot be used`, error.message);
    return;
  }
  dags.set(dag.id, dag);
  const chosen = byId("dag").value;
  const sorted = [...dags.values()].sort((one, other) => one.name.localeCompare(other.name));
  byId("dag").replaceChildren(...sorted.map(({ id, name }) => option(id, name)));
  if (chosen) byId("dag").value = chosen;
  byId("form").hidden = false;
  showDag();
}

// --- previewing and erasing -------------------------------------------------------------------------------------------

const newRunId = (what) => `kore-${what}-${crypto.randomUUID()}`;

async function preview() {
  clearMessages();
  const dag = dags.get(byId("dag").value);
  const users = readUsers();
  const fields = { bot_ids: readBots(), received_at: readReceived(), regime: byId("regime").value, approved_plan: "" };
  const expires = Math.floor(Date.now() / 1000) + HOURS_TO_START * 3600;
  const sealed = await seal(users, dag.key, dag.id, expires);
  clearUsers();
  const conf = { [dag.sealedParam]: sealed, ...fields };
  const result = await runPreview(dag, conf);
  if (result === undefined) return;
  planned = { dagId: dag.id, conf: { ...conf, approved_plan: result.plan_fingerprint } };
  showPlan(result);
}

/** Let the DAG preview the users; undefined if the viewer does not wait for it. */
async function runPreview(dag, conf) {
  const runId = newRunId("preview");
  waiting = new AbortController();
  const { signal } = waiting;
  showStatus("The user ids are sealed, and gone from this page. The preview starts.");
  await startRun(dag.id, runId, conf);
  showStatus(dag.isPaused ? "The preview waits, since the DAG is paused." : "The preview runs.");
  byId("stop").hidden = false;
  try {
    const result = await waitForPreview(dag.id, runId, signal);
    if (result !== undefined) return result;
  } catch (error) {
    if (!signal.aborted) throw error;
    showStatus("You do not wait for the preview. Nothing is erased.");
    return undefined;
  } finally {
    byId("stop").hidden = true;
  }
  throw new PreviewError(await findReason(dag.id, runId), `../dags/${segment(dag.id)}/runs/${segment(runId)}`);
}

function showPlan(result) {
  const facts = [
    ["Users", count(result.user_count)],
    ["Requests", count(result.batch_count)],
    ["Bots", result.all_bots ? "all bots of the organisation" : result.bot_ids.join(", ")],
  ];
  if (result.deadline) {
    const { due_on: due, regime, days_left: left } = result.deadline;
    facts.push(["Due on", `${due} (${String(regime).toUpperCase()}), ${left} days left`]);
  }
  facts.push(["Plan", result.plan_fingerprint]);
  byId("plan-facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  byId("erase").textContent = `Erase ${usersText(result.user_count)}`;
  byId("form").hidden = true;
  byId("plan").hidden = false;
  showStatus("The preview is done. Nothing is erased yet.");
  byId("plan-title").focus();
}

async function erase() {
  clearMessages();
  const { dagId, conf } = planned;
  planned.runId ??= newRunId("erase"); // the same one again, if the answer was lost
  showStatus("The erasure starts.");
  await startRun(dagId, planned.runId, conf);
  location.replace(`./?${new URLSearchParams({ dag_id: dagId, run_id: planned.runId, new: "" })}`);
  await new Promise(() => {}); // nothing more can be done here
}

function discard() {
  planned = undefined;
  clearMessages();
  byId("plan").hidden = true;
  byId("form").hidden = false;
  showStatus("The preview is discarded. Nothing is erased.");
  byId("ids").focus();
}

async function start() {
  if (!window.isSecureContext || crypto.subtle === undefined) {
    showStatus("");
    showMessage(
      "This page cannot seal user ids here",
      "The browser seals only on a secure origin: open Airflow by https, or as localhost. Until then, put the ids into a file on an object store.",
    );
    return;
  }
  try {
    await findDags(addDag);
  } catch (error) {
    tell(error);
    return;
  }
  showStatus("");
  if (dags.size > 0 || !byId("message").hidden) return;
  showMessage(
    "There is no DAG for this form",
    "It needs a DAG that takes sealed user ids and that you may run, such as the example kore_erase_sealed. Ask who runs Airflow for you.",
  );
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  void once(preview);
});
byId("erase").addEventListener("click", () => void once(erase));
byId("discard").addEventListener("click", discard);
byId("stop").addEventListener("click", () => waiting.abort());
byId("dag").addEventListener("change", showDag);
byId("file").addEventListener("change", () => void chooseFile().catch(tell));
followLinks();
addEventListener("pagehide", () => {
  clearUsers();
  planned = undefined;
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // what the browser kept of this page is of no use any more
});
clearUsers(); // a browser may put back what was typed before the page was loaded again
byId("received").max = new Date().toISOString().slice(0, 10);
void start();
