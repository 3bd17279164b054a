export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/{libs,apps,scripts}/**/test/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
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
