/**
 * The form "New erasure": seals user ids in the browser, lets a DAG preview them, and erases what was previewed.
 *
 * The ids stand in the form's field until they are sealed, and nowhere else: not in an address, a storage, a log or a
 * request. The sealed text is kept until the run that erases has started.
 */

import { ApiError } from "./api.js";
import { byId, element, isFramed, leaveFor } from "./dom.js";
import { LineError, Table, readFile, readLines } from "./ids.js";
import { findDags, startRun, waitForPreview } from "./runs.js";
import { SealError, readKey, seal } from "./seal.js";

const HOURS_TO_START = 24; // for the preview, and for the erasure after it

const dags = new Map();
let table; // of the chosen file, if that is one
let fileText;
let planned; // {dagId, conf} of what was previewed
let attempt = 0; // the number of what is under way: an answer to an earlier one is dropped

const FAILURES = {
  0: ["Airflow does not answer", "The network or the API server is away. Try again."],
  400: ["Airflow refuses the run", "A value does not fit the DAG. Check bots and day, or ask the owner of the DAG."],
  401: ["Your session has ended", "Sign in to Airflow again."],
  403: ["You may not start this DAG", "Ask an administrator of Airflow for the right to run it."],
  404: ["The DAG is gone", "It may have been renamed or deleted. Load this page again."],
};

// --- messages ---------------------------------------------------------------------------------------------------------

function showMessage(title, text) {
  byId("message").hidden = title === undefined;
  byId("message-title").textContent = title ?? "";
  byId("message-text").textContent = text ?? "";
}

function showStatus(text) {
  byId("status").textContent = text;
}

function showFault(name, text) {
  const fault = byId(`${name}-fault`);
  fault.textContent = text ?? "";
  fault.hidden = text === undefined;
  byId(name).setAttribute("aria-invalid", String(text !== undefined));
  if (text !== undefined) byId(name).focus();
}

/** Run what can fail, and say what failed. Nothing of an error is shown that can hold a user id. */
async function tell(job) {
  try {
    await job();
  } catch (error) {
    showStatus("");
    if (error instanceof LineError) showFault("ids", error.message);
    else if (error instanceof SealError) showMessage("This cannot be sealed", error.message);
    else if (error instanceof ApiError) {
      const known = FAILURES[error.status] ?? ["Airflow cannot answer", `It answered with status ${error.status}.`];
      showMessage(...known);
    } else showMessage("The form has failed", "Load this page again. Nothing was sent.");
  }
}

// --- the fields -------------------------------------------------------------------------------------------------------

function clearUsers() {
  byId("ids").value = "";
  byId("file").value = "";
  byId("column-row").hidden = true;
  byId("column").replaceChildren();
  table = fileText = undefined;
}

async function chooseFile() {
  table = fileText = undefined;
  byId("column-row").hidden = true;
  showFault("ids", undefined);
  const [file] = byId("file").files;
  if (file === undefined) return;
  const text = await readFile(file);
  if (!/\.(csv|tsv)$/i.test(file.name)) {
    fileText = text;
    return;
  }
  table = new Table(text);
  const options = table.choices.map(({ name }, index) => element("option", { value: index }, name));
  byId("column").replaceChildren(...options);
  const usual = table.columns.findIndex((name) => /^(e-?mail|user.?id)$/i.test(name.trim()));
  if (usual >= 0) byId("column").value = String(usual);
  byId("column-row").hidden = false;
}

function readUsers() {
  const pasted = byId("ids").value;
  const isFile = table !== undefined || fileText !== undefined;
  if (pasted.trim() !== "" && isFile) throw new LineError(1, "and the file are both there: keep the one or the other.");
  const users = table !== undefined ? table.read(Number(byId("column").value)) : readLines(fileText ?? pasted);
  if (users.length === 0) throw new LineError(1, "is missing: there is no user id.");
  return users;
}

function readBots() {
  const bots = byId("bots").value.split(/[\s,]+/).filter(Boolean);
  showFault("bots", bots.length > 0 ? undefined : "Name at least one bot.");
  return bots;
}

function readReceived() {
  const day = byId("received").value;
  showFault("received", day !== "" ? undefined : "Choose the day on which the request came in.");
  return day;
}

function showDag() {
  const { params, isPaused, keyText } = dags.get(byId("dag").value);
  byId("key").textContent = `Sealed to the key ${keyText}.${isPaused ? " The DAG is paused: its run waits until somebody resumes it." : ""}`;
  const bots = params.bot_ids.value;
  if (byId("bots").value === "" && Array.isArray(bots)) byId("bots").value = bots.join("\n");
  if (["gdpr", "ccpa"].includes(params.regime.value)) byId("regime").value = params.regime.value;
}

async function addDag(dag) {
  try {
    dag.publicKey = await readKey(dag.key);
  } catch (error) {
    showMessage(`The DAG ${dag.name} cannot be used`, error.message);
    return;
  }
  dag.keyText = dag.publicKey.kid;
  dags.set(dag.id, dag);
  const options = [...dags.values()].sort((one, other) => one.name.localeCompare(other.name));
  const chosen = byId("dag").value;
  byId("dag").replaceChildren(
    ...options.map(({ id, name }) => {
      const option = element("option", {}, name);
      option.value = id;
      return option;
    }),
  );
  if (chosen) byId("dag").value = chosen;
  byId("form").hidden = false;
  showDag();
}

// --- previewing and erasing -------------------------------------------------------------------------------------------

function setBusy(isBusy) {
  byId("fields").disabled = isBusy;
  byId("preview").disabled = isBusy;
  byId("erase").disabled = isBusy;
  byId("form").setAttribute("aria-busy", String(isBusy));
}

const newRunId = (what) => `kore-${what}-${crypto.randomUUID()}`;

async function preview() {
  showMessage();
  showFault("ids", undefined);
  const dag = dags.get(byId("dag").value);
  const users = readUsers();
  const bots = readBots();
  const received = bots.length > 0 ? readReceived() : "";
  if (bots.length === 0 || received === "") return;
  const expires = Math.floor(Date.now() / 1000) + HOURS_TO_START * 3600;
  const sealed = await seal(users, dag.publicKey, dag.id, expires);
  clearUsers();
  planned = {
    dagId: dag.id,
    conf: { [dag.sealedParam]: sealed, bot_ids: bots, received_at: received, regime: byId("regime").value, approved_plan: "" },
  };
  const number = (attempt += 1);
  const runId = newRunId("preview");
  showStatus("The ids are sealed, and removed from this page. Starting the preview.");
  await startRun(dag.id, runId, planned.conf);
  showStatus(dag.isPaused ? "The preview waits, since the DAG is paused." : "The preview is running.");
  const { result, state } = await waitForPreview(dag.id, runId, () => number === attempt);
  if (number !== attempt) return;
  if (result === undefined) {
    planned = undefined;
    showStatus("");
    showMessage("The preview has failed", "Nothing was erased. The log of the run says which user id was refused, by its position, or what else is wrong.");
    showRunLink(dag.id, runId, state);
    return;
  }
  planned.conf.approved_plan = result.plan_fingerprint;
  showPlan(result);
}

function showRunLink(dagId, runId) {
  const address = `../dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}`;
  byId("message-text").append(" ", element("a", { href: address }, "Open the run"), ".");
}

function showPlan(result) {
  const facts = [
    ["Users", String(result.user_count)],
    ["Requests", String(result.batch_count)],
    ["Bots", result.all_bots ? "all bots of the organisation" : result.bot_ids.join(", ")],
  ];
  if (result.deadline) {
    const { due_on: due, regime, days_left: left } = result.deadline;
    facts.push(["Due on", `${due} (${String(regime).toUpperCase()}), ${left} days left`]);
  }
  facts.push(["Plan", result.plan_fingerprint]);
  byId("plan-facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  byId("erase").textContent = result.user_count === 1 ? "Erase 1 user" : `Erase ${result.user_count} users`;
  byId("form").hidden = true;
  byId("plan").hidden = false;
  showStatus("The preview is done. Nothing is erased yet.");
  byId("plan-title").focus();
}

async function erase() {
  showMessage();
  const { dagId, conf } = planned;
  planned.runId ??= newRunId("erase"); // the same one again, if the answer was lost
  showStatus("Starting the erasure.");
  await startRun(dagId, planned.runId, conf);
  location.assign(`./?${new URLSearchParams({ dag_id: dagId, run_id: planned.runId })}`);
}

function discard() {
  attempt += 1;
  planned = undefined;
  byId("plan").hidden = true;
  byId("form").hidden = false;
  showStatus("Discarded. Nothing is erased.");
  byId("ids").focus();
}

/** Let a button do one thing at a time. */
function once(job) {
  let isRunning = false;
  return async () => {
    if (isRunning) return;
    isRunning = true;
    setBusy(true);
    await tell(job);
    isRunning = false;
    setBusy(false);
  };
}

function follow(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || !isFramed || link.hasAttribute("data-here") || event.button > 1) return;
  event.preventDefault();
  leaveFor(link.href, event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey);
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
  const failures = [];
  await tell(() => findDags((dag) => failures.push(addDag(dag))));
  await Promise.all(failures);
  if (!byId("message").hidden && dags.size === 0) return;
  showStatus("");
  if (dags.size > 0) return;
  showMessage(
    "There is no DAG for this form",
    "It needs a DAG that takes sealed user ids and that you may run, such as the example kore_erase_sealed. Ask who runs Airflow for you.",
  );
}

const previewOnce = once(preview);
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  void previewOnce();
});
const eraseOnce = once(erase);
byId("erase").addEventListener("click", () => void eraseOnce());
byId("discard").addEventListener("click", discard);
byId("dag").addEventListener("change", showDag);
byId("file").addEventListener("change", () => void tell(chooseFile));
document.addEventListener("click", follow);
document.addEventListener("auxclick", follow);
addEventListener("pagehide", () => {
  clearUsers();
  planned = undefined;
});
clearUsers(); // a browser may put back what was typed before the page was loaded again
void start();
