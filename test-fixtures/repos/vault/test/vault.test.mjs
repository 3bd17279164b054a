import assert from 'node:assert';
import { opens } from '../src/vault.mjs';

assert.equal(opens('please'), true);
assert.equal(opens('now'), false);
