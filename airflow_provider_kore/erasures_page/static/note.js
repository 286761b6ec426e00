/**
 * The note of a task instance, of which one line says that a failure is dealt with, and why.
 *
 * The line names the instance by the id that Airflow gives it anew whenever the task is cleared or retried. A note
 * stays through that, and so does the number of the attempt if a task before this one fails. So a line counts for the
 * failure for which it was written, and for no later one. All else in the note is kept as it is.
 */

const MOST_CHARACTERS = 1_000; // Airflow refuses a longer note
/** An address, a user id of Kore.ai, or a telephone number. */
const PERSON = /\S@\S|\bu-(?=\S*\d)\S{4,}|\+\d[\d ()/-]{6,}|\d{9,}/i;

/** Why a note cannot be set, in words for the viewer. */
export class NoteError extends Error {}

const markOf = (instance) => `Dealt with (${instance}): `;

/** Find why the failure of an instance is dealt with; undefined if it is not. */
export function reasonIn(note, instance) {
  const mark = markOf(instance);
  const line = note.split("\n").findLast((each) => each.startsWith(mark));
  return line?.slice(mark.length).trim() || undefined;
}

/** Check a reason, and return it as the text of one line. */
export function checkReason(text) {
  const reason = text.trim().replaceAll(/[\s\p{Cc}]+/gu, " ");
  if (reason === "") throw new NoteError("Enter a reason.");
  if (PERSON.test(reason)) {
    throw new NoteError("This has the form of an address, a user id or a telephone number. Say what was done, and name no person.");
  }
  return reason;
}

/** Add a reason to a note. One that is there already is never replaced. */
export function withReason(note, instance, reason) {
  if (reasonIn(note, instance) !== undefined) return note;
  const whole = `${note && `${note}\n\n`}${markOf(instance)}${reason}`;
  if (whole.length > MOST_CHARACTERS) throw new NoteError("The note of the task has no room for this reason. Shorten one of them.");
  return whole;
}

/** Take the reason out of a note, with the blank line before it. */
export function withoutReason(note, instance) {
  const lines = note.split("\n");
  const isMark = (line) => line?.startsWith(markOf(instance));
  return lines.filter((line, index) => !isMark(line) && !(line === "" && isMark(lines[index + 1]))).join("\n");
}
