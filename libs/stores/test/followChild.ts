/**
 * A slow reader of a ledger that others fill: follows it to a size, lets every page wait a while, and says what it took of memory. `hoard` keeps all that it
 * is given, as a subscription without back-pressure would: the control, which dies of the same bound.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import process from 'node:process';
import { utf8Decode } from '@openexec/canon';
import { opened } from './support.ts';

const [place = '', until = '0', manner = ''] = process.argv.slice(2);
const PAUSE_EVERY = 64;
const kept: unknown[] = [];
const store = await opened(place, { access: 'readOnly' });
let seen = 0n;
let bytes = 0;
process.stdout.write('following\n');
for await (const { index, payload } of store.follow(0n)) {
  if (index !== seen) throw new Error(`entry ${index} came where ${seen} was to come`);
  seen += 1n;
  bytes += payload?.length ?? 0;
  if (manner === 'hoard' && payload !== null) kept.push(utf8Decode(payload));
  if (seen % BigInt(PAUSE_EVERY) === 0n) await sleep(2);
  if (seen === BigInt(until)) break;
}
await store.close();
process.stdout.write(
  `${JSON.stringify({ seen: Number(seen), bytes, peakMb: Math.round(process.resourceUsage().maxRSS / 1024), kept: kept.length })}\n`,
);
