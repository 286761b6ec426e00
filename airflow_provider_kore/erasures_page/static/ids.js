/**
 * Reads user ids that were pasted, or that stand in a file that was chosen.
 *
 * It finds what people get wrong, so that they see it at once. The worker checks each id again, and decides.
 */

/** What is wrong with the user ids. It names a line alone, since its text can be a user id. */
export class IdsError extends Error {}

const HIDDEN_CHARACTER = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\uFFFD]/u;
const EDGES = /^[\s"'“”‘’([{<,;|]|[\s"'“”‘’)\]}>,;|]$/u;
/** Those that are seen most, without case, spaces and punctuation. The worker knows more of them. */
const COLUMN_NAMES = new Set(
  ("id ids name names user users userid username email emails mail emailaddress mailaddress emailadresse mailadresse customer " +
    "customerid kunde kundenid kundennummer account accountid channelid channeluserid phone phonenumber telefon").split(" "),
);
const PLAINLY_AN_ID = /^([^@\s]+@[^@\s]+|\+?\d{5,}|u-.*\d.*)$/;
const MOST_BYTES = 10_000_000; // a table can have many columns beside the user ids
const PAIR = ["channel_id", "channel_user_id"];

/** Say what is wrong with a text that should be a user id; undefined if nothing is. */
function faultOf(text) {
  if (text.trim() === "") return "is blank.";
  if (HIDDEN_CHARACTER.test(text)) return "has a character that cannot be seen.";
  if (EDGES.test(text)) return "begins or ends with a space, a quote, a bracket or a comma.";
  if (/[,;]/.test(text)) return "has a comma or a semicolon: put one user id in each line.";
  if ((text.match(/@/g) ?? []).length > 1) return "has two addresses: put one user id in each line.";
  if (/^[^@\s]+\s.*@/.test(text)) return "has a name beside an address: leave only the address.";
  if (text.startsWith("jwe:")) return "is a sealed text, and no user id.";
  if (!/[\p{L}\p{N}]/u.test(text)) return "has neither a letter nor a digit.";
  return undefined;
}

function check(text, line) {
  const fault = faultOf(text);
  if (fault !== undefined) throw new IdsError(`Line ${line} ${fault}`);
  return text;
}

const splitLines = (text) => text.split(/\r\n|\r|\n/);

/** Leave out a byte order mark, and blank lines at the end. */
const contentOf = (text) => text.replace(/^\uFEFF/, "").replace(/[\r\n]\s*$/, "");

/** Read one user id from each line. */
export function readLines(text) {
  const content = contentOf(text);
  if (content === "") return [];
  const lines = splitLines(content);
  if (COLUMN_NAMES.has(lines[0].replaceAll(/[^\p{L}\p{N}]+/gu, "").toLowerCase())) throw new IdsError("Line 1 is the name of a column: take it away.");
  return lines.map((line, index) => check(line, index + 1));
}

/** Split a table by RFC 4180 into rows, each of its fields and the number of its first line. */
function splitTable(text) {
  const named = text.match(/^sep=([,;\t|])(?:\r\n|\r|\n)/i); // as Excel writes it
  const start = named?.[0].length ?? 0;
  const header = splitLines(text.slice(start))[0];
  const separator = named?.[1] ?? [";", "\t"].find((each) => header.includes(each)) ?? ",";
  const field = new RegExp(`(?:"((?:[^"]|"")*)"|([^"\r\n\\${separator}]*))(\\${separator}|\r\n|\r|\n|$)`, "y");
  const rows = [];
  let line = named ? 2 : 1;
  let row = { line, fields: [] };
  field.lastIndex = start;
  while (field.lastIndex < text.length || row.fields.length > 0) {
    const found = field.exec(text);
    if (found === null) throw new IdsError(`Line ${line} has a quote where none can be.`);
    const [all, quoted, plain, end] = found;
    row.fields.push(quoted?.replaceAll('""', '"') ?? plain);
    line += splitLines(all).length - 1;
    if (end === separator) continue;
    rows.push(row);
    row = { line, fields: [] };
  }
  return rows;
}

/** A table of users, of which one column is chosen. */
export class Table {
  #rows;

  constructor(text) {
    const [header, ...rows] = splitTable(contentOf(text));
    if (header === undefined) throw new IdsError("The file is empty.");
    if (header.fields.some((name) => PLAINLY_AN_ID.test(name.trim()))) {
      throw new IdsError("Line 1 has a user id where the names of the columns must be: add a header.");
    }
    this.columns = header.fields;
    this.#rows = rows;
  }

  /** What can be chosen: each column, and the two of a channel together, if they are there. */
  get choices() {
    const choices = this.columns.map((name, index) => ({ name, read: (fields) => fields[index] }));
    const pair = PAIR.map((name) => this.columns.indexOf(name));
    if (!pair.includes(-1)) {
      const read = (fields) => Object.fromEntries(PAIR.map((name, index) => [name, fields[pair[index]]]));
      choices.push({ name: PAIR.join(" and "), read });
    }
    return choices;
  }

  /** The number of the choice that is most likely meant. */
  get usual() {
    const names = this.choices.map(({ name }) => name.trim());
    const index = names.findIndex((name) => /^(e-?mail|user[ _-]?id|channel_id and channel_user_id)$/i.test(name));
    return Math.max(0, index);
  }

  /** Read the users of a choice, by its number. */
  read(choice) {
    const { read } = this.choices[choice];
    return this.#rows.map(({ line, fields }) => {
      if (fields.length !== this.columns.length) throw new IdsError(`Line ${line} has not as many fields as the header.`);
      const user = read(fields);
      for (const text of typeof user === "string" ? [user] : Object.values(user)) check(text, line);
      return user;
    });
  }
}

/** Read a file as UTF-8 text; another encoding would make other users of it. */
export async function readFile(file) {
  if (file.size > MOST_BYTES) throw new IdsError("The file is too large for a form: put it on an object store.");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new IdsError("The file is not in UTF-8: save it as UTF-8. In Excel, the format is called CSV UTF-8.");
  }
}
