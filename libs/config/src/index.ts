/**
 * Configuration: YAML with positions, layers that only narrow, key files, pins, and what `init` finds. Must never let a broken file pass, nor
 * decide anything about a run. ARCHITECTURE §3 floor 5, CLI.md "Files".
 */
export { type AnchorSetting, type AnchorSettings, type AnchorTime, anchorsOf } from './anchors.ts';
export { checkConfig } from './check.ts';
export { environmentConfig } from './environment.ts';
export { findCommands, type Finding, type Findings } from './found.ts';
export { COMMAND_NAMES, type CommandName, type FoundCommand } from './foundTools.ts';
export { parseGate } from './gate.ts';
export { type Grant, grantOf } from './grant.ts';
export {
  type FileKey,
  type KeyFile,
  type KeyFileError,
  listKeys,
  type NewKey,
  readKey,
  readKeyFile,
  rewriteKey,
  secureFolder,
  swapKey,
  writeKey,
} from './keys.ts';
export {
  type Config,
  DEFAULTS,
  type Layer,
  type LayerName,
  LAYERS,
  mergeLayers,
  type Overrides,
  type ShippedPolicy,
  type Speaker,
  wordsOf,
} from './layers.ts';
export {
  checkBlueprintFile,
  findBlueprints,
  type FoundBlueprint,
  inspectPolicy,
  type InspectedPolicy,
  layerFiles,
  type Delegates,
  loadBlueprint,
  loadDelegates,
  loadConfig,
  loadData,
  loadLayers,
  type LoadedPolicy,
  loadPolicies,
  loadProjectPolicies,
} from './load.ts';
export { type ConfigValue, originsOf } from './origins.ts';
export { type LedgerSetting, type LedgerWord, loadLedgerSetting } from './ledger.ts';
export { withoutPassword } from './password.ts';
export { type PinError, pinsFile, readPin, writePin } from './pins.ts';
export { findPlaces, type Places } from './places.ts';
export { type PublicKey, type PublicKeyError, readPublicKey, writePublicKey } from './publicKey.ts';
export { type ConfigProblem, type ConfigProblemCode, problemText } from './problems.ts';
export { type CommandSetting, type ConfigFile, configFile, configJsonSchema, SHIPPED_POLICIES } from './schema.ts';
export { findSkills, type FoundSkill, loadSkill } from './skill.ts';
export { OWN_IGNORE, starterConfig } from './starter.ts';
export { type DataPath, parseYaml, type Position, type Source } from './source.ts';
