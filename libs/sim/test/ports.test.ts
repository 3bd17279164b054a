/** The seeded clock and the seeded chance, each over the contract suite of its port. */
import { describe, expect, test } from '@jest/globals';
import { clockContract, randomnessContract } from '@openexec/canon/contract';
import { chanceOf, clockOf } from '../src/chance.ts';

clockContract({ describe, test, expect }, 'the seeded clock', () => clockOf(chanceOf('clock')));
randomnessContract({ describe, test, expect }, 'the seeded chance', () => chanceOf('chance'));
