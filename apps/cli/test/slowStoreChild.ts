/**
 * A run whose model answers at once and whose store does not: driven to its end by the real driver on a SQLite ledger behind a delay. Says what it took of
 * memory. `hoard` keeps every answer, as a queue before a slow store would: the control, which dies of the same bound.
 */
import process from 'node:process';
import { benchPlace, type Step } from '../bench/place.ts';

const VISITS = 20;
const TURNS = 5;
const CALLS = 10;
const CONTENT_BYTES = 64 * 1024;
const kept: string[] = [];
const place = await benchPlace({ slowMs: 2 });
const callsOf = (visit: number, turn: number): readonly Step[] =>
  Array.from({ length: CALLS }, (_, at) => {
    const content = Buffer.alloc(CONTENT_BYTES, `${visit} ${turn} ${at} and so on; `).toString('latin1');
    if (process.argv[2] === 'hoard') kept.push(content);
    return { action: 'apply_patch' as const, path: `src/${visit}-${turn}-${at}.txt`, content };
  });
const { appends, mostAtOnce, performedMs } = await place.drive({ visits: VISITS, turns: TURNS, callsOf });
await place.close();
place.remove();
const peakMb = Math.round(process.resourceUsage().maxRSS / 1024);
const producedMb = Math.round((performedMs.length * CONTENT_BYTES) / 2 ** 20);
process.stdout.write(`${JSON.stringify({ actions: performedMs.length, appends, mostAtOnce, peakMb, producedMb, kept: kept.length })}\n`);
