// What the hosted API answers: npm's engine with the nine rules of the hosted engine on top. It is written from what is
// known of that engine, and not from package engine. Parity puts this text before reference.js.
'use strict';

// What nobody can say: it depends on the version of Java or of its JSON library, or is not translated here.
class Unknown extends Error {}

// A JSON number that remembers its literal (rule 4).
class JSONNumber {
  constructor(literal) { this.literal = literal; }
  valueOf() { return Number(this.literal); }
  toJSON() { return Number(this.literal); }
}
// The order of an object's names, where JavaScript would sort some of them as numbers.
const nameOrder = Symbol('order');

// parseJSON reads JSON. A lenient reader (rule 7) takes words without quotes, as names too, and control characters in
// strings; it returns undefined for a word that is neither a number nor true, false, or null: the caller drops it.
function parseJSON(text, lenient) {
  let at = 0;
  const fail = () => { throw new SyntaxError(`JSON at ${at}`); };
  const space = () => { for (let c; (c = text.charCodeAt(at)) === 32 || c === 10 || c === 13 || c === 9;) at++; };
  function string() {
    const begin = at;
    for (at++; ; at++) {
      const c = text.charCodeAt(at);
      if (c === 34) break;
      if (c !== c) fail();
      if (c === 92) at++;
    }
    at++;
    const inner = text.slice(begin + 1, at - 1);
    if (!/[\\\0-\x1f]/.test(inner)) return inner;
    const raw = text.slice(begin, at);
    const escape = (c) => '\\u00' + c.charCodeAt(0).toString(16).padStart(2, '0');
    return JSON.parse(lenient ? raw.replace(/[\0-\x1f]/g, escape) : raw);
  }
  function word() {
    const begin = at;
    if (!lenient) {
      const strict = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
      strict.lastIndex = at;
      const found = strict.exec(text);
      if (!found) fail();
      at = strict.lastIndex;
      switch (found[0]) {
        case 'true': return true;
        case 'false': return false;
        case 'null': return null;
      }
      return new JSONNumber(found[0]);
    }
    while (at < text.length && !/[\0-\x20,:{}\[\]"\\]/.test(text[at])) at++;
    if (at === begin) fail();
    return text.slice(begin, at);
  }
  function literal() {
    const w = word();
    if (!lenient) return w;
    if (w === 'null') return null;
    if (/^(true|false)$/i.test(w)) return w.toLowerCase() === 'true';
    return spellNumber(w) === undefined ? undefined : new JSONNumber(w);
  }
  function list() {
    const items = [];
    at++;
    space();
    if (text[at] === ']') { at++; return items; }
    for (;;) {
      items.push(value());
      space();
      const c = text[at++];
      if (c === ']') return items;
      if (c !== ',') { at--; fail(); }
    }
  }
  function object() {
    const o = Object.create(null), names = [];
    let numbered = false;
    at++;
    space();
    if (text[at] === '}') { at++; return o; }
    for (;;) {
      space();
      if (text[at] !== '"' && !lenient) fail();
      const name = text[at] === '"' ? string() : word();
      space();
      if (text[at++] !== ':') { at--; fail(); }
      const v = value();
      if (!(name in o)) names.push(name);
      o[name] = v;
      numbered = numbered || /^[0-9]/.test(name);
      space();
      const c = text[at++];
      if (c === '}') break;
      if (c !== ',') { at--; fail(); }
    }
    if (numbered) Object.defineProperty(o, nameOrder, { value: names });
    return o;
  }
  function value() {
    space();
    switch (text[at]) {
      case '"': return string();
      case '[': return list();
      case '{': return object();
    }
    return literal();
  }
  const v = value();
  space();
  if (at < text.length) fail();
  return v;
}

// spellNumber returns what the hosted engine makes of an unquoted literal: an integer within int64 as its digits,
// everything else as Java prints a double. It returns undefined for what is not a number.
function spellNumber(literal) {
  if (/^-?(?:0|[1-9][0-9]*)$/.test(literal)) {
    const n = BigInt(literal);
    if (n >= -(2n ** 63n) && n < 2n ** 63n) return String(n);
  } else if (/^[+-]?\p{Nd}+$/u.test(literal)) throw new Unknown('whether the integer 01, +1 or ١ is one of JSON');
  const f = parseJavaDouble(literal);
  return f === undefined ? undefined : printJavaDouble(f);
}

// parseJavaDouble is Double.parseDouble; undefined where that throws (rule 3).
function parseJavaDouble(text) {
  const s = text.replace(/^[\0-\x20]+|[\0-\x20]+$/g, '');
  let m = /^([+-]?)(?:(NaN|Infinity)|((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fFdD]?)$/.exec(s);
  if (m) {
    const f = m[2] ? Number(m[2]) : Number(m[3]);
    return m[1] === '-' ? -f : f;
  }
  m = /^([+-]?)0[xX](?:([0-9a-fA-F]+)\.?|([0-9a-fA-F]*)\.([0-9a-fA-F]+))[pP]([+-]?[0-9]+)[fFdD]?$/.exec(s);
  if (!m) return undefined;
  const fraction = m[4] || '';
  let mantissa = BigInt('0x0' + (m[2] || m[3] || '') + fraction);
  if (mantissa === 0n) return m[1] === '-' ? -0 : 0;
  let exponent = Math.max(-1e6, Math.min(1e6, Number(m[5]))) - 4 * fraction.length;
  // Round half to even, to 53 bits or to what a subnormal number has.
  const bits = mantissa.toString(2).length;
  const drop = Math.max(bits - 53, -1074 - exponent);
  if (drop > bits + 1) mantissa = 0n;
  else if (drop > 0) {
    const unit = 1n << BigInt(drop), rest = mantissa % unit;
    mantissa = mantissa / unit;
    if (2n * rest > unit || 2n * rest === unit && mantissa % 2n === 1n) mantissa++;
    exponent += drop;
  }
  let f = Number(mantissa);
  for (let step; exponent !== 0 && f !== 0 && f !== Infinity; exponent -= step) {
    step = Math.max(-1000, Math.min(exponent, 1000));
    f *= 2 ** step;
  }
  return m[1] === '-' ? -f : f;
}

// printJavaDouble is Double.toString of Java 19 and later: the shortest digits that give the number again. Earlier ones
// print another digit for a few numbers.
function printJavaDouble(f) {
  if (Object.is(f, -0)) return '-0.0';
  if (f === 0) return '0.0';
  if (!Number.isFinite(f)) return String(f);
  let [mantissa, exponent] = f.toExponential().split('e');
  // Among the shortest, one and two digits count as the same length, and the nearest is taken: 4.9E-324.
  if (!mantissa.includes('.')) [mantissa, exponent] = f.toExponential(1).split('e');
  const sign = mantissa[0] === '-' ? '-' : '', digits = mantissa.replace(/[-.]/g, ''), e = Number(exponent);
  if (e < -3 || e >= 7) return sign + digits[0] + '.' + (digits.slice(1).replace(/0+$/, '') || '0') + 'E' + e;
  if (e < 0) return sign + '0.' + '0'.repeat(-e - 1) + digits.replace(/0+$/, '');
  return sign + digits.slice(0, e + 1).padEnd(e + 1, '0') + '.' + (digits.slice(e + 1).replace(/0+$/, '') || '0');
}

// compareDoubles is Double.compare: -0 before 0, NaN last.
function compareDoubles(a, b) {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  if (a === 0 && b === 0) return Number(Object.is(b, -0)) - Number(Object.is(a, -0));
  return a < b ? -1 : a > b ? 1 : 0;
}

// A version of the hosted engine (rule 5).
class HostedVersion {
  static parse(text) {
    const id = '(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)';
    const prerelease = `(?:-(${id}(?:\\.${id})*))?`, build = '(?:\\+[0-9a-zA-Z-]+(?:\\.[0-9a-zA-Z-]+)*)?';
    const m = new RegExp(`^([0-9]+)\\.([0-9]+)(?:\\.([0-9]+)${prerelease}${build})?$`).exec(text);
    if (!m || m[1] > 2147483647 || m[2] > 2147483647) return undefined;
    const v = new HostedVersion();
    v.numbers = [Number(m[1]), Number(m[2]), m[3] > 2147483647 ? 0 : Number(m[3] || 0)];
    v.prerelease = m[4];
    return v;
  }
  compareTo(other) {
    for (let i = 0; i < 3; i++) if (this.numbers[i] !== other.numbers[i]) return this.numbers[i] - other.numbers[i];
    const a = this.prerelease, b = other.prerelease;
    if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
    return a < b ? -1 : a > b ? 1 : 0;
  }
}

// Java's regular expressions, translated to JavaScript's. The parser follows java.util.regex.Pattern.
class InvalidPattern extends Error {} // Java refuses it
const javaClasses = {
  d: '[0-9]', w: '[a-zA-Z_0-9]', s: '[ \\t\\n\\v\\f\\r]', v: '[\\n\\v\\f\\r\\u0085\\u2028\\u2029]',
  h: '[ \\t\\u00a0\\u1680\\u180e\\u2000-\\u200a\\u202f\\u205f\\u3000]',
};
const posixClasses = {
  Lower: '[a-z]', Upper: '[A-Z]', ASCII: '[\\0-\\x7f]', Alpha: '[a-zA-Z]', Digit: '[0-9]', Alnum: '[a-zA-Z0-9]',
  Punct: '[\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e]', Graph: '[\\x21-\\x7e]', Print: '[\\x20-\\x7e]', Blank: '[ \\t]',
  Cntrl: '[\\0-\\x1f\\x7f]', XDigit: '[0-9a-fA-F]', Space: '[ \\t\\n\\v\\f\\r]',
};
const categories = /^(?:L[ulmto]?|M[nec]?|N[dlo]?|P[dseifco]?|S[mcko]?|Z[slp]?|C[cfo]?)$/;
const lineEnd = '[\\n\\r\\u0085\\u2028\\u2029]', start = '(?<![^])', end = '(?![^])';
const lastLineEnd = `(?:(?=(?:\\r\\n|${lineEnd})?${end})(?!(?<=\\r)\\n))`;
const spellCodePoint = (c) => `\\u{${c.toString(16)}}`;
const isLetter = (c) => c >= 65 && c <= 90 || c >= 97 && c <= 122;

function unquote(pattern) { // \Q…\E: each character by itself
  const p = Array.from(pattern);
  let i = 0;
  while (i < p.length - 1 && !(p[i] === '\\' && p[i + 1] === 'Q')) i += p[i] === '\\' ? 2 : 1;
  if (i >= p.length - 1) return p;
  const out = p.slice(0, i);
  i += 2;
  for (let quoted = true, first = true; i < p.length; first = false) {
    const c = p[i++];
    if (/[a-zA-Z]|[^\0-\x7f]/.test(c)) out.push(c);
    else if (/[0-9]/.test(c)) out.push(...(first ? ['\\', 'x', '3'] : []), c);
    else if (c !== '\\') out.push(...(quoted ? ['\\'] : []), c);
    else if (quoted) {
      if (p[i] === 'E') { i++; quoted = false; } else out.push('\\', '\\');
    } else if (p[i] === 'Q') {
      i++;
      quoted = true;
      first = true;
      continue;
    } else {
      out.push(c);
      if (i < p.length) out.push(p[i++]);
    }
  }
  return out;
}

class JavaPattern {
  constructor(pattern) {
    if (/[\ud800-\udfff]/u.test(pattern)) throw new Unknown('half of a surrogate pair');
    // Java puts the quoted text where it stands, and so completes what is before it: \x0\Qa is \x0a.
    if (/\\(?:x[0-9a-fA-F]?|[xpP]\{[^}]*|u[0-9a-fA-F]{0,3}|0[0-7]{0,2}|[cpPk])\\Q/.test(pattern) ||
      /(?:\{[0-9,]*|\(\?[a-zA-Z<-]*[a-zA-Z0-9]*)\\Q/.test(pattern)) throw new Unknown('quoted part of an escape');
    this.p = unquote(pattern);
    this.at = 0;
    this.flags = { i: false, m: false, s: false };
    this.names = new Set();
    this.ascii = false; // means this only for texts of ASCII
    const source = this.alternatives();
    if (this.at < this.p.length) throw new InvalidPattern('unmatched )');
    this.regexp = new RegExp(`^(?:${source})${end}`, 'v');
  }
  peek(n = 0) { return this.p[this.at + n]; }
  alternatives() {
    let out = this.sequence();
    while (this.peek() === '|') {
      this.at++;
      out += '|' + this.sequence();
    }
    return out;
  }
  sequence() {
    let out = '';
    for (;;) {
      let atom;
      switch (this.peek()) {
        case undefined: case '|': case ')':
          return out;
        case '(':
          atom = this.group();
          if (atom === null) continue; // flags alone
          break;
        case '[':
          this.at++;
          atom = this.characterClass();
          break;
        case '\\':
          this.at++;
          atom = this.escape(false);
          break;
        case '^':
          this.at++;
          atom = this.flags.m ? `(?:(?:${start}|(?<=[\\n\\u0085\\u2028\\u2029]|\\r(?!\\n)))(?=[^]))` : start;
          break;
        case '$':
          this.at++;
          atom = this.flags.m ? `(?:(?=${lineEnd}|${end})(?!(?<=\\r)\\n))` : lastLineEnd;
          break;
        case '.':
          this.at++;
          atom = this.flags.s ? '[^]' : `[^\\n\\r\\u0085\\u2028\\u2029]`;
          break;
        case '?': case '*': case '+':
          throw new InvalidPattern('dangling ' + this.peek());
        case '{': // a repetition of nothing
          atom = '(?:)';
          break;
        default:
          atom = this.literal(this.p[this.at++].codePointAt(0));
      }
      out += this.closure(atom);
    }
  }
  literal(c) {
    if (this.flags.i && isLetter(c)) return `[${spellCodePoint(c)}${spellCodePoint(c ^ 32)}]`;
    return spellCodePoint(c);
  }
  closure(atom) {
    let q;
    switch (this.peek()) {
      case '?': case '*': case '+':
        q = this.p[this.at++];
        break;
      case '{': {
        const m = /^\{([0-9]+)(,?)([0-9]*)/.exec(this.p.slice(this.at, this.at + 40).join(''));
        if (!m) throw new InvalidPattern('illegal repetition');
        if (m[0].length > 12) throw new Unknown('long repetition');
        this.at += m[0].length;
        if (this.peek() !== '}' || m[2] === '' && m[3] !== '') throw new InvalidPattern('unclosed counted closure');
        this.at++;
        if (m[3] !== '' && Number(m[3]) < Number(m[1])) throw new InvalidPattern('illegal repetition range');
        q = m[0] + '}';
        break;
      }
      default:
        return atom;
    }
    if (this.peek() === '?') this.at++; // lazy: the same texts match as a whole
    else if (this.peek() === '+') {
      throw new Unknown('possessive');
    }
    return `(?:${atom})${q}`;
  }
  group() {
    this.at++;
    const saved = { ...this.flags };
    if (this.peek() === '?') {
      this.at++;
      const c = this.p[this.at++];
      if (c === '<' && this.peek() !== '=' && this.peek() !== '!') {
        let name = '';
        if (!/[a-zA-Z]/.test(this.peek() ?? '')) throw new InvalidPattern('name of a group');
        while (/^[a-zA-Z0-9]$/.test(this.peek() ?? '')) name += this.p[this.at++];
        if (this.p[this.at++] !== '>') throw new InvalidPattern('name of a group');
        if (this.names.has(name)) throw new InvalidPattern('name of two groups');
        this.names.add(name);
      } else if (c === '=' || c === '!' || c === '>' || c === '<') {
        throw new Unknown('lookaround');
      } else if (c !== ':') {
        this.at--;
        for (let on = true; ; this.at++) {
          const f = this.peek();
          if (f === '-' && on) on = false;
          else if (f === 'i' || f === 'm' || f === 's') this.flags[f] = on;
          else if (/^[dcuxU]$/.test(f ?? '')) throw new Unknown('flag ' + f);
          else break;
        }
        const f = this.p[this.at++];
        if (f === ')') return null;
        if (f !== ':') throw new InvalidPattern('inline modifier');
      }
    }
    const inner = this.alternatives();
    if (this.p[this.at++] !== ')') throw new InvalidPattern('unclosed group');
    this.flags = saved;
    return `(?:${inner})`;
  }
  // escape reads what follows a backslash. In a class, a single character is returned as a number.
  escape(inClass, inRange) {
    const c = this.p[this.at++];
    const single = (n) => inClass ? n : this.literal(n);
    const outside = (s) => {
      if (inClass) throw new InvalidPattern('\\' + c + ' in a class');
      return s;
    };
    switch (c) {
      case undefined: throw inClass ? new InvalidPattern('unclosed class') : new InvalidPattern('\\ at the end');
      case '0': {
        const m = /^(?:[0-3][0-7]{2}|[0-7]{1,2})/.exec(this.p.slice(this.at, this.at + 3).join(''));
        if (!m) throw new InvalidPattern('octal');
        this.at += m[0].length;
        return single(parseInt(m[0], 8));
      }
      case 'd': case 'w': case 's': case 'h': return javaClasses[c];
      case 'D': case 'W': case 'S': case 'H': case 'V': return '[^' + javaClasses[c.toLowerCase()].slice(1);
      case 'v': return inRange ? 11 : javaClasses.v;
      case 'p': case 'P': return this.property(c === 'P');
      case 'A': case 'G': return outside(start);
      case 'z': return outside(end);
      case 'Z': return outside(lastLineEnd);
      case 'R': return outside(`(?:\\r\\n|${javaClasses.v})`);
      case 'b': case 'B':
        outside('');
        if (this.peek() === '{') throw new Unknown('\\b{');
        this.ascii = true;
        return '\\' + c;
      case 'X': outside(''); throw new Unknown('\\X');
      case 'N': throw new Unknown('\\N');
      case 'k': outside(''); throw new Unknown('\\k');
      case 'a': return single(7);
      case 'e': return single(27);
      case 'f': return single(12);
      case 'n': return single(10);
      case 'r': return single(13);
      case 't': return single(9);
      case 'c': {
        const d = this.p[this.at++];
        if (d === undefined) throw new InvalidPattern('control');
        return single(d.codePointAt(0) ^ 64);
      }
      case 'u': {
        const m = /^[0-9a-fA-F]{4}/.exec(this.p.slice(this.at, this.at + 4).join(''));
        if (!m) throw new InvalidPattern('\\u');
        this.at += 4;
        const n = parseInt(m[0], 16);
        if (n >= 0xd800 && n <= 0xdfff) throw new Unknown('half of a surrogate pair');
        return single(n);
      }
      case 'x': {
        const m = /^(?:[0-9a-fA-F]{2}|\{[0-9a-fA-F]+\})/.exec(this.p.slice(this.at, this.at + 12).join(''));
        if (!m) throw new InvalidPattern('\\x');
        this.at += m[0].length;
        const n = parseInt(m[0].replace('{', ''), 16);
        if (n > 0x10ffff) throw new InvalidPattern('\\x');
        if (n >= 0xd800 && n <= 0xdfff) throw new Unknown('half of a surrogate pair');
        return single(n);
      }
    }
    if (/[1-9]/.test(c)) {
      outside('');
      throw new Unknown('backreference');
    }
    if (/[a-zA-Z]/.test(c)) throw new InvalidPattern('\\' + c);
    return single(c.codePointAt(0));
  }
  property(negated) {
    let name = this.p[this.at++];
    if (name === undefined) throw new InvalidPattern('property');
    if (name === '{') {
      const close = this.p.indexOf('}', this.at);
      if (close < 0) throw new InvalidPattern('unclosed property');
      name = this.p.slice(this.at, close).join('');
      this.at = close + 1;
      if (name === '') throw new InvalidPattern('empty property');
    } else if (!categories.test(name)) throw new InvalidPattern('property');
    if (this.flags.i && /^(?:L[ult]|Lower|Upper)$/.test(name)) throw new Unknown('case of a property');
    if (!Object.hasOwn(posixClasses, name) && !categories.test(name)) throw new Unknown('property ' + name);
    const set = Object.hasOwn(posixClasses, name) ? posixClasses[name] : `\\p{${name}}`;
    return negated ? `[^${set}]` : set;
  }
  characterClass() { // after the [
    let negated = false, out = '', empty = true;
    if (this.peek() === '^') {
      negated = true;
      this.at++;
    }
    const add = (s) => { out += s; empty = false; };
    for (;;) {
      let c = this.peek();
      if (c === undefined) throw new InvalidPattern('unclosed class');
      if (c === ']' && !empty) {
        this.at++;
        return `[${negated ? '^' : ''}${out}]`;
      }
      if (c === '[') {
        this.at++;
        add(this.characterClass());
        continue;
      }
      if (c === '&' && this.peek(1) === '&') {
        this.at += 2;
        if (empty || this.peek() !== '[') throw new Unknown('&&');
        this.at++;
        const right = this.characterClass();
        if (this.peek() !== ']') throw new Unknown('&&');
        out = `[${out}]&&${right}`;
        continue;
      }
      this.at++;
      let from;
      if (c === '\\') {
        const escaped = this.peek();
        const range = this.peek(1) === '-';
        from = this.escape(true, escaped === 'v' && range);
        if (typeof from === 'string') {
          add(from);
          continue;
        }
      } else from = c.codePointAt(0);
      let to = from;
      if (this.peek() === '-' && this.peek(1) !== '[' && this.peek(1) !== ']') {
        this.at++;
        c = this.p[this.at++];
        if (c === undefined) throw new InvalidPattern('range');
        to = c === '\\' ? this.escape(true, true) : c.codePointAt(0);
        if (typeof to === 'string' || to < from) throw new InvalidPattern('range');
      }
      const range = (a, b) => add(a === b ? spellCodePoint(a) : `${spellCodePoint(a)}-${spellCodePoint(b)}`);
      range(from, to);
      if (this.flags.i) {
        for (const [a, b] of [[65, 90], [97, 122]]) {
          const low = Math.max(a, from), high = Math.min(b, to);
          if (low <= high) range(low ^ 32, high ^ 32);
        }
      }
    }
  }
}

const javaPatterns = new Map();
function compileJavaPattern(pattern) {
  let p = javaPatterns.get(pattern);
  if (p === undefined) {
    try { p = new JavaPattern(pattern); } catch (e) { p = e; }
    if (javaPatterns.size > 10000) javaPatterns.clear();
    javaPatterns.set(pattern, p);
  }
  return p;
}
// isJavaPattern reports whether Java takes the pattern; undefined if that is not known here.
function isJavaPattern(pattern) {
  const p = compileJavaPattern(pattern);
  return p instanceof Unknown ? undefined : !(p instanceof Error);
}
function matchesJavaPattern(pattern, text) {
  const p = compileJavaPattern(pattern);
  if (p instanceof Error) throw p;
  if (p.ascii && /[^\0-\x7f]/.test(text)) throw new Unknown('\\b beyond ASCII');
  return p.regexp.test(text);
}

// select follows a selector. By rule 9 it goes through objects alone, and into key, value and metadata of a result.
function selectHosted(target, selector, rule9) {
  if (!selector || selector.length === 0) return undefined;
  let v = target;
  for (let i = 0; i < selector.length; i++) {
    if (!selector[i] || v === null || typeof v !== 'object' || v instanceof JSONNumber) return undefined;
    if (rule9 && Array.isArray(v)) return undefined;
    const ofResult = rule9 && i === 2 && selector[0] === 'result';
    if (ofResult && !['key', 'value', 'metadata'].includes(selector[2])) return undefined;
    if (!Object.hasOwn(v, selector[i])) return undefined;
    v = v[selector[i]];
  }
  return v === null ? undefined : v;
}

// stringify is JSON as the hosted engine writes it; names in the order in which they were read.
function stringifyHosted(v, rule4) {
  if (v === undefined || v === null) return 'null';
  if (v instanceof JSONNumber) return rule4 ? spellNumber(v.literal) : JSON.stringify(Number(v.literal));
  if (Array.isArray(v)) return '[' + v.map((e) => stringifyHosted(e, rule4)).join(',') + ']';
  if (typeof v !== 'object') return JSON.stringify(v);
  const member = (name) => JSON.stringify(name) + ':' + stringifyHosted(v[name], rule4);
  return '{' + (v[nameOrder] || Object.keys(v)).map(member).join(',') + '}';
}

// makeHostedContext is convertUserToEvaluationContext; by rule 9 only a list of texts is a group.
function makeHostedContext(user, rule9) {
  const context = Object.create(null), rest = Object.create(null), groups = Object.create(null);
  for (const name of Object.keys(user)) {
    if (!['groups', 'group_properties', 'group_cohort_ids'].includes(name)) rest[name] = user[name];
  }
  if (Object.keys(rest).length > 0) context.user = rest;
  const isObject = (v) => v !== null && typeof v === 'object' && !(v instanceof JSONNumber);
  const of = (o, name) => isObject(o) && Object.hasOwn(o, name) ? o[name] : undefined;
  for (const type of Object.keys(user.groups || {})) {
    const names = user.groups[type];
    if (!Array.isArray(names) || names.length === 0) continue;
    let name = names[0];
    if (rule9 && !names.every((n) => typeof n === 'string')) continue;
    if (name instanceof JSONNumber) name = Number(name.literal);
    if (!name && !rule9) continue;
    const group = Object.create(null);
    group.group_name = names[0];
    const key = typeof name === 'object' ? stringifyHosted(name) : String(name);
    for (const [from, to] of [['group_properties', 'group_properties'], ['group_cohort_ids', 'cohort_ids']]) {
      const v = of(of(user[from], type), key);
      if (v && !(v instanceof JSONNumber) && Object.keys(v).length > 0) group[to] = v;
    }
    groups[type] = group;
  }
  if (Object.keys(groups).length > 0) context.groups = groups;
  return context;
}

// makeHostedEngine returns npm's engine with those of the rules that are given.
function makeHostedEngine(core, rules) {
  const on = (n) => rules.includes(n);
  const r1 = on(1), r2 = on(2), r3 = on(3), r4 = on(4), r5 = on(5), r6 = on(6), r7 = on(7), r8 = on(8), r9 = on(9);
  return new (class extends core.EvaluationEngine {
    unknown = new Set(); // the flags of which nobody can say what they give this user
    evaluateFlag(target, flag) {
      try { return super.evaluateFlag(target, flag); } catch (e) {
        if (!(e instanceof Unknown)) throw e;
        this.unknown.add(flag.key);
      }
    }
    // checkSelector: results are not objects of JSON, so nobody can say what their text is; and one may be unknown.
    checkSelector(selector) {
      if (!r9 || selector[0] !== 'result') return;
      if (selector.length < 3 || this.unknown.has(selector[1])) throw new Unknown('result');
    }
    makeContext(user) { return makeHostedContext(user, r9); }
    matchCondition(target, condition) {
      this.checkSelector(condition.selector);
      const v = selectHosted(target, condition.selector, r9);
      const { op, values } = condition;
      if (v === undefined) {
        if (r1 && (op === 'set is not' || op === 'regex does not match')) return true;
        return this.matchNull(op, values);
      }
      const list = this.coerceStringArray(v);
      if (this.isSetOperator(op)) return list !== undefined && this.matchSet(list, op, values);
      if (list !== undefined) return this.matchStringsNonSet(list, op, values);
      return this.matchString(this.coerceString(v), op, values);
    }
    bucket(target, segment) {
      if (!segment.bucket) return segment.variant;
      this.checkSelector(segment.bucket.selector);
      // npm's select finds the text at once.
      const value = this.coerceString(selectHosted(target, segment.bucket.selector, r9));
      return super.bucket({ value }, { ...segment, bucket: { ...segment.bucket, selector: ['value'] } });
    }
    coerceString(v) {
      if (v === undefined || v === null) return undefined;
      if (v instanceof JSONNumber) return r4 ? spellNumber(v.literal) : String(Number(v.literal));
      return typeof v === 'object' ? stringifyHosted(v, r4) : String(v);
    }
    coerceStringArray(v) {
      let list = v;
      if (!Array.isArray(v)) {
        if (typeof v !== 'string' || v[0] !== '[') return undefined;
        try { list = parseJSON(v, r7); } catch (e) {
          if (e instanceof Unknown) throw e;
          return undefined;
        }
      }
      list = list.map((e) => this.coerceString(e)).filter((s) => s !== undefined && (r6 || s !== ''));
      return r8 ? [...new Set(list)] : list;
    }
    matchesSetContainsAll(list, values) {
      return super.matchesSetContainsAll(list, r8 ? [...new Set(values)] : values);
    }
    matchesComparable(text, op, values, transform, compare) {
      const isVersion = op.startsWith('version');
      if (isVersion ? !r5 : !r3) return super.matchesComparable(text, op, values, transform, compare);
      if (isVersion) return super.matchesComparable(text, op, values, (s) => HostedVersion.parse(s), compare);
      return super.matchesComparable(text, op, values, parseJavaDouble,
        (a, op, b) => this.comparator(compareDoubles(a, b), op, 0));
    }
    matchesRegex(text, values) {
      return r2 ? values.some((pattern) => matchesJavaPattern(pattern, text)) : super.matchesRegex(text, values);
    }
  })();
}
