/** A child process of the tests: one writer in a race; prints what it asked and was told, with times of the one monotonic clock of this machine. */
import { fixtures } from '@openexec/ledger/contract';
import { race, racedOn } from './linear/writers.ts';
import { say } from './say.ts';
import { opened } from './support.ts';

const [place = '', writer = '0', count = '0'] = process.argv.slice(2);
const store = await opened(place);
say('ready');
// All begin together: whoever is started last says go.
await new Promise((resolve) => process.stdin.once('data', resolve));
const steps = await race(racedOn(store, fixtures.runNamed('race')), Number(writer), Number(count));
await store.close();
say(JSON.stringify(steps, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)));
process.exit(0);
