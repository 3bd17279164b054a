/** Applies a branch and dies without a word at the window it was told. */
import { applyBranch, inspectRepository } from '../src/index.ts';

const [, , root = '', branch = '', window = ''] = process.argv;
const facts = await inspectRepository(root);
if (!facts.ok) throw new Error(facts.error.message);
await applyBranch({
  repository: facts.value,
  branch,
  crashPoint: (at) => {
    if (at === window) process.kill(process.pid, 'SIGKILL');
  },
});
