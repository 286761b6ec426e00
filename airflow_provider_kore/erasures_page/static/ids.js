/**
 * Reads user ids that were pasted, or that stand in a file that was chosen.
 *
 * It finds what people get wrong, so that they see it at once. The worker checks each id again, and decides.
 */

/** What is wrong with a line. It names the line alone, since the text can be a user id. */
export class LineError extends Error {
  constructor(line, fault) {
    super(`Line ${line} ${fault}`);
    this.line = line;
  }
}

const HIDDEN_CHARACTER = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\uFFFD]/u;
const EDGES = /^[\s"'“”‘’([{<,;|]|[\s"'“”‘’)\]}>,;|]$/u;
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
  if (fault !== undefined) throw new LineError(line, fault);
  return text;
}

/** Read one user id from each line; blank lines at the end are left out. */
export function readLines(text) {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  while (lines.length > 0 && lines.at(-1).trim() === "") lines.pop();
  return lines.map((line, index) => check(line, index + 1));
}

/** Split a table into rows of fields: RFC 4180, by the separator that the header shows. Each row knows its line. */
function splitTable(text) {
  let body = text.replace(/^\uFEFF/, "");
  let line = 1;
  let separator = body.match(/^sep=(.)\r?\n/)?.[1];
  if (separator !== undefined) {
    body = body.slice(body.indexOf("\n") + 1);
    line += 1;
  }
  separator ??= [";", "\t", ","].find((candidate) => body.split(/\r\n|\r|\n/, 1)[0].includes(candidate)) ?? ",";
  const rows = [];
  let row = { line, fields: [] };
  let at = 0;
  while (at < body.length) {
    let field;
    if (body[at] === '"') {
      field = "";
      for (at += 1; ; at += 1) {
        if (at >= body.length) throw new LineError(row.line, "opens a quote that nothing closes.");
        if (body[at] === "\n") line += 1;
        if (body[at] !== '"') field += body[at];
        else if (body[at + 1] === '"') field += body[(at += 1)];
        else break;
      }
      at += 1;
    } else {
      const end = body.slice(at).search(separator === "\t" ? /[\t\r\n]/ : separator === ";" ? /[;\r\n]/ : new RegExp(`[${separator.replace(/[\]\\^-]/g, "\\$&")}\\r\\n]`));
      field = end < 0 ? body.slice(at) : body.slice(at, at + end);
      at += field.length;
    }
    row.fields.push(field);
    if (body[at] === separator) {
      at += 1;
      if (at < body.length) continue;
      row.fields.push("");
    } else if (at < body.length && !"\r\n".includes(body[at])) {
      throw new LineError(row.line, "has text behind a closing quote.");
    }
    if (body[at] === "\r" && body[at + 1] === "\n") at += 1;
    at += 1;
    line += 1;
    rows.push(row);
    row = { line, fields: [] };
  }
  return rows;
}

/** A table of users, of which one column is chosen. */
export class Table {
  #rows;

  constructor(text) {
    const [header, ...rows] = splitTable(text);
    this.columns = header?.fields ?? [];
    this.#rows = rows;
  }

  /** The choices: each column, and the two of a channel together, if they are there. */
  get choices() {
    const choices = this.columns.map((name, index) => ({ name, read: (fields) => fields[index] }));
    const pair = PAIR.map((name) => this.columns.indexOf(name));
    if (!pair.includes(-1)) {
      const read = (fields) => Object.fromEntries(PAIR.map((name, index) => [name, fields[pair[index]]]));
      choices.push({ name: PAIR.join(" and "), read });
    }
    return choices;
  }

  /** Read the users of a choice, by its number. */
  read(choice) {
    const { read } = this.choices[choice];
    const rows = [...this.#rows];
    while (rows.length > 0 && rows.at(-1).fields.every((field) => field.trim() === "")) rows.pop();
    return rows.map(({ line, fields }) => {
      if (fields.length !== this.columns.length) throw new LineError(line, "has not as many fields as the header.");
      const user = read(fields);
      for (const text of typeof user === "string" ? [user] : Object.values(user)) check(text, line);
      return user;
    });
  }
}

/** Read a file as UTF-8 text; another encoding would make other users of it. */
export async function readFile(file) {
  const bytes = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new LineError(1, "or a later one is not in UTF-8: save the file as UTF-8.");
  }
}
