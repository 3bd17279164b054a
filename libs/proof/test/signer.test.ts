/** The signer over a seed. */
import { seedSigner } from '../src/index.ts';
import { signerContract } from './signer.contract.ts';

signerContract('seedSigner', () => seedSigner({ keyName: 'test.example/log', seed: new Uint8Array(32).fill(5) }));
