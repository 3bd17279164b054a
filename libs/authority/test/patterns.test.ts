/** Patterns of actions, paths and hosts: what each matches, and that what is covered matches no more than what covers it. */
import { describe, expect, test } from '@jest/globals';
import { pathPattern } from '@openexec/protocol';
import fc from 'fast-check';
import { coversAction, coversHost, coversPath, matchAction, matchHost, matchPath } from '../src/index.ts';

describe('patterns', () => {
  test.each([
    [matchAction, 'run_tests', 'run_tests', true],
    [matchAction, 'run_tests', 'run_test', false],
    [matchAction, 'run_*', 'run_tests', true],
    [matchAction, 'run_*', 'run', false],
    [matchAction, '*', 'model.ask', true],
    [matchPath, '**', 'a/b', true],
    [matchPath, '**', '../a', false],
    [matchPath, '**', '/etc/passwd', false],
    [matchPath, 'src/**', 'src/a/b.ts', true],
    [matchPath, 'src/**', 'src', true],
    [matchPath, 'src/**', 'srcs/a', false],
    [matchPath, 'src/**', 'src/../a', false],
    [matchPath, 'src/**', 'src//a', false],
    [matchPath, 'src/a', 'src/a', true],
    [matchPath, 'src/a', 'src/a/b', false],
    [matchHost, 'api.example.org:443', 'api.example.org:443', true],
    [matchHost, 'api.example.org:443', 'api.example.org:80', false],
    [matchHost, '*.example.org:443', 'api.example.org:443', true],
    [matchHost, '*.example.org:443', 'a.b.example.org:443', true],
    [matchHost, '*.example.org:443', 'example.org:443', false],
    [matchHost, '*.example.org:443', '.example.org:443', false],
    [matchHost, '*.example.org:443', 'badexample.org:443', false],
  ] as const)('%p: %s with %s is %s', (match, pattern, text, expected) => {
    expect(match(pattern, text)).toBe(expected);
  });

  const segment = fc.constantFrom('a', 'b', 'ab', 'a.b');
  const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const pathForm = fc.oneof(
    path,
    path.map((dir) => `${dir}/**`),
    fc.constant('**'),
  );
  const action = fc.string({ unit: fc.constantFrom('a', 'b', '_'), minLength: 1, maxLength: 4 });
  const actionForm = fc.oneof(
    action,
    action.map((prefix) => `${prefix}*`),
    fc.constant('*'),
  );
  const host = fc
    .tuple(fc.array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 4 }), fc.constantFrom('80', '443'))
    .map(([labels, port]) => `${labels.join('.')}:${port}`);
  const hostForm = fc.oneof(
    host,
    host.map((name) => `*.${name}`),
  );
  test('property: what is covered matches no more than what covers it', () => {
    fc.assert(
      fc.property(
        pathForm,
        pathForm,
        path,
        (parent, child, value) => !coversPath([parent], child) || !matchPath(child, value) || matchPath(parent, value),
      ),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(
        actionForm,
        actionForm,
        action,
        (parent, child, value) => !coversAction([parent], child) || !matchAction(child, value) || matchAction(parent, value),
      ),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(
        hostForm,
        hostForm,
        host,
        (parent, child, value) => !coversHost([parent], child) || !matchHost(child, value) || matchHost(parent, value),
      ),
      { numRuns: 3000 },
    );
  });
  test('property: every pattern covers itself, is covered by the widest, and an exact one is covered exactly when it matches', () => {
    fc.assert(
      fc.property(
        pathForm,
        (pattern) => coversPath([pattern], pattern) && coversPath(['**'], pattern) && pathPattern.safeParse(pattern).success,
      ),
    );
    fc.assert(fc.property(pathForm, path, (pattern, value) => coversPath([pattern], value) === matchPath(pattern, value)));
    fc.assert(
      fc.property(
        actionForm,
        action,
        (pattern, value) => coversAction([pattern], value) === matchAction(pattern, value) && coversAction(['*'], pattern),
      ),
    );
    fc.assert(
      fc.property(
        hostForm,
        host,
        (pattern, value) => coversHost([pattern], value) === matchHost(pattern, value) && coversHost([pattern], pattern),
      ),
    );
  });
});
