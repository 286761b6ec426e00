/**
 * Seals user ids to the public key of a DAG, so that only a worker with the private key can read them.
 *
 * The text is a compact JWE (RFC 7516) after "jwe:", by ECDH-ES on P-256 and A256GCM, without a library.
 */

const PREFIX = "jwe:";
const MOST_CHARACTERS = 48 * 1024; // with all else of a request it fits into the 64 kB of the audit log on MySQL
const BLOCK = 256; // bytes; the length of the text shows the length of the ids in such steps
const CURVE = { name: "ECDH", namedCurve: "P-256" };

/** Why something cannot be sealed, in words that name no user. */
export class SealError extends Error {}

const utf8 = (text) => new TextEncoder().encode(text);

function base64url(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 0x8000) parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  return btoa(parts.join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Compute what names a public key, by RFC 7638. */
async function thumbprintOf({ crv, kty, x, y }) {
  const digest = await crypto.subtle.digest("SHA-256", utf8(JSON.stringify({ crv, kty, x, y })));
  return base64url(new Uint8Array(digest));
}

/** Read a public key from the schema of a Param; an error says why it cannot be used. */
export async function readKey(value) {
  if (value === null || typeof value !== "object") throw new SealError("Its public key is no JSON object.");
  if ("d" in value) throw new SealError("Its key is the private one: make another key pair, and put only the public key into the DAG.");
  const { kty, crv, x, y, kid, ...others } = value;
  const isText = [kty, crv, x, y, kid].every((member) => typeof member === "string");
  if (!isText || kty !== "EC" || crv !== "P-256" || Object.keys(others).length > 0) {
    throw new SealError("Its public key is not one that make-seal-key prints.");
  }
  if ((await thumbprintOf(value)) !== kid) throw new SealError("The thumbprint of its public key is another one than its kid.");
  try {
    return { kid, key: await crypto.subtle.importKey("jwk", { kty, crv, x, y }, CURVE, false, []) };
  } catch {
    throw new SealError("Its public key is no point of the curve P-256.");
  }
}

/** Derive the key of the content by Concat KDF in one round: RFC 7518, section 4.6.2. */
async function contentKey(shared) {
  const number = (value) => [0, 0, value >> 8, value & 255];
  const algorithm = utf8("A256GCM");
  const input = [...number(1), ...shared, ...number(algorithm.length), ...algorithm, ...number(0), ...number(0), ...number(256)];
  const bytes = await crypto.subtle.digest("SHA-256", new Uint8Array(input));
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt"]);
}

/**
 * Seal user ids.
 *
 * @param users texts, or objects with channel_id and channel_user_id.
 * @param publicKey what readKey returned.
 * @param dagId the DAG that may open the text.
 * @param expires until when a run may start, in seconds since the epoch.
 */
export async function seal(users, publicKey, dagId, expires) {
  const own = await crypto.subtle.generateKey(CURVE, true, ["deriveBits"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", own.publicKey);
  const shared = await crypto.subtle.deriveBits({ name: "ECDH", public: publicKey.key }, own.privateKey, 256);
  const fields = { alg: "ECDH-ES", enc: "A256GCM", kid: publicKey.kid, aud: dagId, exp: expires, epk: { kty, crv, x, y } };
  const header = base64url(utf8(JSON.stringify(fields)));
  const text = JSON.stringify(users);
  const padded = utf8(text + " ".repeat((BLOCK - (utf8(text).length % BLOCK)) % BLOCK));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const key = await contentKey(new Uint8Array(shared));
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: utf8(header) }, key, padded));
  const result = `${PREFIX}${header}..${base64url(iv)}.${base64url(sealed.subarray(0, -16))}.${base64url(sealed.subarray(-16))}`;
  if (result.length > MOST_CHARACTERS) {
    throw new SealError("These are too many user ids for a form: put them into a file on an object store, and pass its address to a DAG.");
  }
  return result;
}
