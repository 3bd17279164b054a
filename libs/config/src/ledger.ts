/**
 * Which ledger the files name. Must never make a file that says nothing of a ledger a reason not to read one.
 */
import { readFileSync } from 'node:fs';
import { ok, type Result } from '@openexec/canon';
import type { LayerName } from './layers.ts';
import { layerFiles, loadLayers } from './load.ts';
import type { Places } from './places.ts';
import type { ConfigProblem } from './problems.ts';
import type { ConfigFile } from './schema.ts';

/** An address, or a stream of EventStoreDB with its companion store. */
export type LedgerWord = NonNullable<ConfigFile['ledger']>;
/** `ledger:` of the nearest layer that has one. */
export interface LedgerSetting {
  readonly value: LedgerWord;
  readonly from: LayerName;
}

/**
 * What the files say of the ledger; null where none does. Files without the word are not parsed: a slip elsewhere in the configuration is no reason
 * not to look at the ledger of the checkout, and a run reads them all anyway.
 */
export function loadLedgerSetting(folder: string, places: Places): Result<LedgerSetting | null, readonly ConfigProblem[]> {
  if (!layerFiles(folder, places).some(([, file]) => mentions(file))) return ok(null);
  const layers = loadLayers(folder, places);
  if (!layers.ok) return layers;
  const nearest = layers.value.findLast(({ config }) => config.ledger !== undefined);
  return ok(nearest?.config.ledger === undefined ? null : { value: nearest.config.ledger, from: nearest.name });
}

function mentions(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').includes('ledger');
  } catch (error) {
    // One that is not there says nothing; one that cannot be read is for the loader to refuse.
    const { code } = error as { readonly code?: string };
    return code !== 'ENOENT' && code !== 'ENOTDIR';
  }
}
