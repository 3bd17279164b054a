/** A runtime in the middle of a command: starts two long sleeps in the sandbox, and waits to be killed. */
import { createSandbox } from '../src/index.ts';
import { NEVER, profile, redactor } from './harness.ts';

const [, , seconds = '', workspace = ''] = process.argv;
const sandbox = createSandbox({ redactor });
await sandbox.check();
await sandbox.run(
  {
    profile: profile(),
    argv: ['bash', '-c', `setsid sleep ${seconds} & sleep ${seconds}`],
    directory: '',
    workspace,
    gitView: null,
    deadlineMs: 600_000,
    stdin: null,
  },
  NEVER,
);
