// Web IDL conversions as the interfaces of Fetch and Cache need them. (Web IDL, "JavaScript binding".)

/// Throws if a call has fewer arguments than the operation needs.
export function argumentsAtLeast(args, needed, operation) {
  if (args.length < needed) {
    throw new TypeError(
      `${operation} needs ${needed} argument${needed === 1 ? "" : "s"}, and got ${args.length}`,
    );
  }
}

/// ByteString: a string of code units below 256.
export function byteString(value) {
  const string = `${value}`;
  for (let index = 0; index < string.length; index += 1) {
    if (string.charCodeAt(index) > 255) {
      throw new TypeError(`${JSON.stringify(string)} holds a character above U+00FF`);
    }
  }
  return string;
}

/// USVString: lone surrogates become U+FFFD.
export function usvString(value) {
  return `${value}`.toWellFormed();
}

/// An integer type with [EnforceRange].
export function enforceRange(value, least, greatest, what) {
  const number = Math.trunc(+value);
  if (!(number >= least && number <= greatest)) {
    throw new TypeError(`${what} is not between ${least} and ${greatest}`);
  }
  return number + 0;
}

/// An enumeration's value.
export function enumeration(values, what) {
  return (value) => {
    const string = `${value}`;
    if (!values.includes(string)) {
      throw new TypeError(`${JSON.stringify(string)} is not a valid ${what}`);
    }
    return string;
  };
}

/// A dictionary: `members` maps each name to its conversion, in lexicographical order, as the
/// getters of `value` are called in that order. A member that is undefined is absent.
export function dictionary(value, members, what) {
  const converted = {};
  if (value === undefined || value === null) {
    return converted;
  }
  if (typeof value !== "object" && typeof value !== "function") {
    throw new TypeError(`${what} is not an object`);
  }
  for (const [name, convert] of Object.entries(members)) {
    const member = value[name];
    if (member !== undefined) {
      converted[name] = convert(member);
    }
  }
  return converted;
}

/// sequence<T>.
export function sequence(value, convert, what) {
  const method = isObject(value) ? value[Symbol.iterator] : undefined;
  if (typeof method !== "function") {
    throw new TypeError(`${what} is not iterable`);
  }
  return sequenceBy(value, method, convert);
}

/// (sequence<sequence<T>> or record<K, V>), as a list of pairs.
export function pairs(value, key, convert, what) {
  if (!isObject(value)) {
    throw new TypeError(`${what} is not an object`);
  }
  const method = value[Symbol.iterator];
  if (method !== undefined && method !== null) {
    if (typeof method !== "function") {
      throw new TypeError(`${what} is not iterable`);
    }
    const list = sequenceBy(value, method, (pair) => sequence(pair, convert, `an entry of ${what}`));
    for (const pair of list) {
      if (pair.length !== 2) {
        throw new TypeError(`an entry of ${what} has ${pair.length} items instead of two`);
      }
    }
    return list;
  }
  // Web IDL, "record": a later key that converts to the same string replaces the earlier value.
  const record = new Map();
  for (const own of Reflect.ownKeys(value)) {
    const descriptor = Reflect.getOwnPropertyDescriptor(value, own);
    if (descriptor !== undefined && descriptor.enumerable) {
      const name = key(own);
      record.set(name, convert(value[own]));
    }
  }
  return [...record];
}

/// Gives a class the shape of an IDL interface: enumerable members and a class string.
/// `iterator` names the method that is also `[Symbol.iterator]`.
export function defineInterface(Class, { iterator } = {}) {
  enumerableMembers(Class.prototype);
  enumerableMembers(Class);
  Object.defineProperty(Class.prototype, Symbol.toStringTag, {
    configurable: true,
    value: Class.name,
  });
  if (iterator !== undefined) {
    Object.defineProperty(Class.prototype, Symbol.iterator, {
      configurable: true,
      writable: true,
      value: Class.prototype[iterator],
    });
  }
}

function enumerableMembers(object) {
  for (const name of Object.getOwnPropertyNames(object)) {
    const descriptor = Object.getOwnPropertyDescriptor(object, name);
    const isMember = descriptor.get !== undefined || typeof descriptor.value === "function";
    if (isMember && name !== "constructor" && descriptor.configurable) {
      Object.defineProperty(object, name, { enumerable: true });
    }
  }
}

function sequenceBy(value, method, convert) {
  const list = [];
  for (const item of { [Symbol.iterator]: () => Reflect.apply(method, value, []) }) {
    list.push(convert(item));
  }
  return list;
}

function isObject(value) {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
