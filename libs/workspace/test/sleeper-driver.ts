/** A runtime in the middle of a command: starts a long sleep in the sandbox, says so, and waits to be killed. */
import { createSandbox } from '../src/index.ts';
import { NEVER, profile, redactor } from './harness.ts';

const [, , seconds = '', workspace = ''] = process.argv;
const sandbox = createSandbox({ redactor });
await sandbox.check();
setTimeout(() => process.stdout.write('started\n'), 500);
await sandbox.run(
  {
    profile: profile(),
    argv: ['bash', '-c', `setsid sleep ${seconds} & sleep ${seconds}`],
    directory: '',
    workspace,
    gitView: null,
    deadlineMs: 60_000,
    stdin: null,
  },
  NEVER,
);
