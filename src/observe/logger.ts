// Structured logs: one JSON line per event, the message a constant lower-case sentence, the data in fields with the
// glossary's names (nodeId, groupId, topic, partition, role, term, index, offset, producerId, reason, durationMs).
// Levels: error – an operator must act; warn – degraded but handled; info – a state changed; debug – per request.
import { type DestinationStream, destination, pino, stdTimeFunctions } from "pino";

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** What the rooms log to; pino and tests' recorders satisfy it alike. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** The process's own logger. */
export interface RootLogger extends Logger {
  /** A logger whose lines carry these fields too. */
  child(fields: LogFields): Logger;
  readonly level: LogLevel;
  /** Writes out what is buffered, blocking; call before the process ends. */
  flush(): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** On every line. */
  readonly nodeId?: number;
  /** Also on every line, e.g. { cluster }. */
  readonly fields?: LogFields;
  /** Absolute path (folders are made); undefined: standard output. */
  readonly file?: string | undefined;
  /** Replaces the file or standard output: for tests. */
  readonly stream?: { write(line: string): void };
}

/** Beyond this many buffered bytes the oldest destination's writes wait for the disk (pino's default policy). */
const BUFFER_BYTES_MAX = 1024 * 1024;

/** Discards everything. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export function createLogger(options: LoggerOptions): RootLogger {
  const sink = options.stream === undefined ? fileSink(options.file) : undefined;
  const stream: DestinationStream = options.stream ?? sink ?? process.stdout;
  const logger = pino(
    {
      level: options.level,
      base: {
        ...(options.nodeId === undefined ? {} : { nodeId: options.nodeId }),
        ...options.fields,
      },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError, cause: describeError },
      messageKey: "message",
    },
    stream,
  );
  const own = options.nodeId;
  return {
    debug: (fields, message) => logger.debug(withoutOwnId(fields, own), message),
    info: (fields, message) => logger.info(withoutOwnId(fields, own), message),
    warn: (fields, message) => logger.warn(withoutOwnId(fields, own), message),
    error: (fields, message) => logger.error(withoutOwnId(fields, own), message),
    child: (fields) => logger.child(fields),
    level: options.level,
    flush: () => flushQuietly(sink),
  };
}

/** Every line carries the node's own id; an event that names it too would write the key twice. */
function withoutOwnId(fields: LogFields, own: number | undefined): LogFields {
  if (own === undefined || fields["nodeId"] !== own) return fields;
  const { nodeId: _, ...rest } = fields;
  return rest;
}

type FileSink = ReturnType<typeof destination>;

/** Buffers in memory and writes asynchronously, so that logging never blocks the event loop on a slow pipe. */
function fileSink(file: string | undefined): FileSink {
  return destination({
    dest: file ?? 1,
    mkdir: file !== undefined,
    append: true,
    sync: false,
    maxLength: BUFFER_BYTES_MAX,
  });
}

/** The sink may not be open yet, or its pipe closed: at the end of a process neither is worth an exception. */
function flushQuietly(sink: FileSink | undefined): void {
  try {
    sink?.flushSync();
  } catch {
    // Nothing is left to tell it to.
  }
}

/** What is worth keeping of an error: name, message, reason and stack, its causes below it. */
function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { reason, fields } = value as { readonly reason?: unknown; readonly fields?: unknown };
  return {
    name: value.name,
    message: value.message,
    ...(typeof reason === "string" ? { reason } : {}),
    ...(typeof fields === "object" ? { fields } : {}),
    stack: value.stack,
    ...(value.cause === undefined ? {} : { cause: describeError(value.cause) }),
  };
}
