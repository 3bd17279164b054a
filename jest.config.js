/**
 * Jest for every package and script of the house. Heavy suites (*.heavy.test.ts) run only when OPENEXEC_HEAVY is set, by `npm test -- --heavy`.
 */
import process from 'node:process';

const heavy = process.env.OPENEXEC_HEAVY === '1';

export default {
  // Most of the time a suite waits for processes of its own; two at a time suit the smallest machine.
  maxWorkers: 2,
  // No test is bound by how quick a machine is: only one that hangs takes minutes.
  testTimeout: 240_000,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/{libs,apps,scripts}/**/test/**/*${heavy ? '.heavy' : ''}.test.ts`],
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '/assets/', ...(heavy ? [] : ['\\.heavy\\.test\\.ts$'])],
  modulePathIgnorePatterns: ['<rootDir>/.cache', '/dist/'],
  testEnvironmentOptions: { customExportConditions: ['@openexec/source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' }],
  },
  coverageProvider: 'v8',
  collectCoverageFrom: ['{libs,apps}/*/src/**/*.ts'],
  cacheDirectory: '<rootDir>/.cache/jest',
};
