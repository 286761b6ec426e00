/** Puts a failure aside, or takes that back: a line in the note of its task instance, which Airflow keeps and audits. */

import { ApiError, get, instancePath, listIn, may, patchNote } from "./api.js";
import { byId, element } from "./dom.js";
import { isNotErased, takeInstance } from "./erasure.js";
import { NoteError, checkReason, withReason, withoutReason } from "./note.js";

const GROUPS = new Set(["not_erased", "dealt_with"]);
const FAILURES = {
  0: "Airflow does not answer. Whether it has kept the note is not known: refresh the page, and see.",
  401: "Your session has ended. Sign in to Airflow, and come back.",
  403: "You may not edit this task instance. Ask an administrator of Airflow for the right to.",
  404: "The task is no longer in the DAG, or its run is deleted, and Airflow keeps no note of it.",
};

// --- who may do it ----------------------------------------------------------------------------------------------------

const rights = new Map(); // DAG's id: whether the viewer may set notes of its task instances

/** Find out of which of these rows the viewer may edit the task instance. */
export function askRights(rows, onChange) {
  for (const { dagId } of rows.filter(({ group }) => GROUPS.has(group))) {
    if (rights.has(dagId)) continue;
    rights.set(dagId, false);
    const answer = (isAllowed) => {
      rights.set(dagId, isAllowed);
      if (isAllowed) onChange();
    };
    may("note", dagId).then(answer, () => rights.delete(dagId));
  }
}

export const mayPutAside = (row) => GROUPS.has(row.group) && row.instance !== undefined && rights.get(row.dagId) === true;

// --- the note ---------------------------------------------------------------------------------------------------------

/** Set the note of the failure that the viewer has seen, and of no later one; what else is in the note stays. */
async function changeNote(row, change) {
  const seen = row.instance;
  const current = await get(instancePath(row));
  takeInstance(row, current);
  if (row.instance !== seen || !isNotErased(row)) throw new NoteError("The task has run again, or its state was set. Close this, and see.");
  const before = current.note ?? "";
  const note = change(before, seen);
  if (note === before) return; // as after an answer that was lost
  const [changed] = listIn(await patchNote(row, note), "task_instances");
  if ((changed?.note ?? "") !== note) throw new ApiError(0);
  takeInstance(row, changed);
}

// --- the dialog -------------------------------------------------------------------------------------------------------

let shown; // {row, isBack, onDone, onClose} of the open dialog
let isBusy = false;

/**
 * Ask why a failure is put aside, or whether that is to be taken back.
 *
 * @param onDone called with what was done, in words.
 * @param onClose called as soon as the dialog is closed, whatever was done.
 */
export function openAside(row, onDone, onClose) {
  const isBack = row.group === "dealt_with";
  shown = { row, isBack, onDone, onClose };
  byId("aside-title").textContent = isBack ? "Take back that this is dealt with" : "Put this failure aside";
  byId("aside-what").replaceChildren(
    `${row.taskName} of the run `,
    element("b", {}, row.runId),
    isBack ? " counts again as not erased. The rest of its note stays." : " no longer counts as not erased. Nothing is erased by this.",
  );
  byId("aside-ask").hidden = isBack;
  byId("reason").value = "";
  byId("aside-send").textContent = isBack ? "Take back" : "Put aside";
  showFault();
  byId("aside").showModal();
}

function showFault(text, isOfReason = false) {
  byId("aside-fault").textContent = text ?? "";
  byId("aside-fault").hidden = text === undefined;
  byId("reason").setAttribute("aria-invalid", String(isOfReason));
  if (isOfReason) byId("reason").focus();
}

/** Send one change at a time, so that a double click sends one. */
async function send() {
  if (isBusy) return;
  const { row, isBack, onDone } = shown;
  const isOpen = () => shown?.row === row;
  setBusy(true);
  showFault();
  try {
    const reason = isBack ? undefined : checkReason(byId("reason").value);
    await changeNote(row, (note, instance) => (isBack ? withoutReason(note, instance) : withReason(note, instance, reason)));
    onDone(`${row.taskName} of ${row.runId} is ${isBack ? "no longer put aside" : "put aside"}.`);
    if (isOpen()) byId("aside").close();
  } catch (error) {
    const isOfNote = error instanceof NoteError;
    if (!isOfNote && !(error instanceof ApiError)) throw error;
    const words = isOfNote ? error.message : (FAILURES[error.status] ?? `Airflow answered with status ${error.status}.`);
    if (isOpen()) showFault(words, isOfNote && !isBack);
    else onDone(words);
  } finally {
    setBusy(false);
  }
}

function setBusy(value) {
  isBusy = value;
  byId("aside-form").setAttribute("aria-busy", String(value));
}

byId("aside-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void send();
});
byId("aside-cancel").addEventListener("click", () => byId("aside").close());
byId("aside").addEventListener("close", () => {
  const { onClose } = shown;
  shown = undefined;
  onClose();
});
