/**
 * The recorded effects of one scenario on its folder, read from strace's log: writes with their bytes, truncations, names made, moved and removed, what
 * was synced, and the moments at which the process acknowledged. Must never leave out a call that changed the folder: unknown lines are errors.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../children.ts';

/** One effect. Paths are relative to the folder; '' is the folder itself. */
export type Effect =
  | { readonly op: 'write'; readonly path: string; readonly at: number; readonly data: Buffer }
  | { readonly op: 'cut'; readonly path: string; readonly size: number }
  | { readonly op: 'make' | 'folder' | 'remove' | 'sync'; readonly path: string }
  | { readonly op: 'move'; readonly path: string; readonly to: string }
  | { readonly op: 'acknowledged'; readonly seq: number };

/** What a scenario did, in order. */
export interface Recording {
  readonly scenario: string;
  readonly effects: readonly Effect[];
}

const CALLS =
  'openat,pwrite64,pwritev,write,writev,fsync,fdatasync,ftruncate,fallocate,unlink,unlinkat,rename,renameat,renameat2,mkdir,rmdir';

/** Plays a scenario in `folder` under strace and reads what it did. */
export async function recordEffects(child: string, folder: string, scenario: string, way: string): Promise<Recording> {
  const log = `${folder}.strace`;
  const before = readdirSync(folder);
  const outcome = await run(
    'strace',
    ['-f', '-qq', '-y', '-xx', '-s', '4000000', '-o', log, '-e', `trace=${CALLS}`, process.execPath, child, folder, scenario, way],
    { env: { ...process.env, UV_THREADPOOL_SIZE: '1' } },
  );
  if (outcome.lines.at(-1) !== 'closed') throw new Error(`recording ${scenario}: ${outcome.lines.join(', ')} ${outcome.errors}`);
  const reader = new LogReader(folder, before);
  for (const line of readFileSync(log, 'latin1').split('\n')) reader.take(line);
  return { scenario, effects: reader.effects };
}

class LogReader {
  readonly effects: Effect[] = [];
  readonly #folder: string;
  readonly #unfinished = new Map<string, string>();
  /** Where the next `write` of a path goes: these files are written from their beginning. */
  readonly #offsets = new Map<string, number>();
  readonly #known: Set<string>;

  constructor(folder: string, before: readonly string[]) {
    this.#folder = folder;
    this.#known = new Set(before);
  }

  take(line: string): void {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    if (text.endsWith('<unfinished ...>')) {
      this.#unfinished.set(thread, text.slice(0, -'<unfinished ...>'.length).trimEnd());
      return;
    }
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/s.exec(text);
    const whole = resumed === null ? text : `${this.#unfinished.get(thread) ?? ''}${resumed[2] ?? ''}`;
    const [, call = '', args = '', result = ''] = /^(\w+)\((.*)\)\s+= (-?\d+)/s.exec(whole) ?? [];
    if (call === '' || result.startsWith('-')) return;
    this.#call(call, args, Number(result));
  }

  #call(call: string, args: string, result: number): void {
    const [named = null, to = null] = [...args.matchAll(/(?:^|, )"((?:\\x[0-9a-f]{2})*)"/g)].map(([, text = '']) => this.#within(text));
    const handle = this.#within(/^\d+<((?:\\x[0-9a-f]{2})*)>/.exec(args)?.[1] ?? '');
    if (call === 'openat') this.#opened(this.#within(/, "((?:\\x[0-9a-f]{2})*)"/.exec(args)?.[1] ?? ''), args);
    else if (call === 'write' || call === 'pwrite64') this.#wrote(call, args, handle, result);
    else if (call === 'fsync' || call === 'fdatasync') this.#add(handle, (path) => ({ op: 'sync', path }));
    else if (call === 'ftruncate') this.#add(handle, (path) => ({ op: 'cut', path, size: Number(/, (\d+)$/.exec(args)?.[1]) }));
    else if (call === 'unlink') {
      this.#known.delete(named ?? '');
      this.#add(named, (path) => ({ op: 'remove', path }));
    } else if (call === 'mkdir') this.#add(named, (path) => ({ op: 'folder', path }));
    else if (call === 'rename' && named !== null && to !== null) {
      this.#known.delete(named);
      this.#known.add(to);
      this.effects.push({ op: 'move', path: named, to });
    } else if ([handle, named, to].some((path) => path !== null)) throw new Error(`${call} is not known to the recording`);
  }

  #opened(path: string | null, args: string): void {
    if (path === null || !args.includes('O_CREAT')) return;
    if (!this.#known.has(path)) this.effects.push({ op: 'make', path });
    this.#known.add(path);
    this.#offsets.set(path, 0);
    if (args.includes('O_TRUNC')) this.effects.push({ op: 'cut', path, size: 0 });
  }

  #wrote(call: string, args: string, path: string | null, length: number): void {
    const [, hex = '', rest = ''] = /^\d+<[^>]*>, "((?:\\x[0-9a-f]{2})*)"(.*)$/s.exec(args) ?? [];
    const data = Buffer.from(hex.replaceAll('\\x', ''), 'hex').subarray(0, length);
    if (path === null) {
      const said = /^acknowledged (-?\d+)\n$/.exec(data.toString('latin1'));
      if (args.startsWith('1<') && said !== null) this.effects.push({ op: 'acknowledged', seq: Number(said[1]) });
      return;
    }
    if (data.length !== length) throw new Error(`a write of ${length} bytes to ${path} is logged with ${data.length}`);
    const at = call === 'pwrite64' ? Number(/, \d+, (\d+)$/.exec(rest)?.[1]) : (this.#offsets.get(path) ?? 0);
    if (call === 'write') this.#offsets.set(path, at + length);
    this.effects.push({ op: 'write', path, at, data });
  }

  #add(path: string | null, make: (path: string) => Effect): void {
    if (path !== null) this.effects.push(make(path));
  }

  /** A path of the folder, relative to it; null for any other, and for the index that SQLite shares in memory and rebuilds after every crash. */
  #within(hex: string): string | null {
    const path = Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString('utf8');
    if (path === this.#folder) return '';
    if (!path.startsWith(join(this.#folder, '/')) || path.endsWith('-shm')) return null;
    return path.slice(this.#folder.length + 1);
  }
}
