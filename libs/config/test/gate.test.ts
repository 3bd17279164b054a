/** The gate policy as a file: every problem with its place, nothing guessed, and no witness that nobody has to be. */
import { describe, expect, test } from '@jest/globals';
import { parseGate } from '@openexec/config';
import { formatCosignerVkey, publicKeyOf } from '@openexec/proof';

const WITNESS = formatCosignerVkey({ keyName: 'witness.example/w', publicKey: publicKeyOf(new Uint8Array(32).fill(7)) });
const text = (yaml: string): string => {
  const read = parseGate(yaml, 'gate.yaml');
  return read.ok ? 'good' : read.error.map(({ line, column, message }) => `${line}:${column} ${message}`).join('\n');
};

describe('a gate policy', () => {
  test('is read with all that may stand in it', () => {
    const yaml = `version: 1
trust: ["sha256:${'a'.repeat(64)}"]
accept: [commit, tree]
checks: {atLeast: 1}
approvals: {atLeast: 2, assurance: passphrase, keys: ["${'b'.repeat(32)}"], actions: [commit_changes]}
level: witnessed
maxAgeHours: 24
witnesses: |
  witness w ${WITNESS}
  quorum w
`;
    const read = parseGate(yaml, 'gate.yaml');
    expect(read).toMatchObject({ ok: true, value: { approvals: { atLeast: 2 }, level: 'witnessed' } });
  });

  test.each([
    ['a key that is mistyped', 'version: 1\ngoverned_: true\n', /^2:1 unknown key "governed_" \(did you mean governed\?\)/],
    ['one inside', 'version: 1\napprovals:\n  atleast: 1\n', /^3:3 unknown key "atleast" in approvals \(did you mean atLeast\?\)/],
    ['a fraction', 'version: 1\nchecks: {atLeast: 1.5}\n', /^2:19 checks\.atLeast: /],
    ['no version', 'governed: true\n', /version/],
    ['a trust that is no fingerprint', 'version: 1\ntrust: [abc]\n', /^2:9 trust\.0: /],
    ['no trust in a list', 'version: 1\ntrust: []\n', /^2:8 trust: /],
    ['a word that is no relation', 'version: 1\naccept: [anything]\n', /^2:10 accept\.0: /],
    ['an alias', 'version: 1\ntrust: &a []\n', /anchors are not read here/],
    ['witnessed by nobody', 'version: 1\nlevel: witnessed\n', /^2:8 level: needs witnesses/],
    ['an age of nothing', 'version: 1\nmaxAgeHours: 3\n', /^2:14 maxAgeHours: needs witnesses/],
    ['witnesses that are none', 'version: 1\nwitnesses: "a"\n', /^2:12 witnesses: it is no tlog-policy/],
    ['a quorum of none', 'version: 1\nwitnesses: "quorum none\\n"\n', /^2:12 witnesses: its quorum is none/],
    ['a level that bundles do not prove', 'version: 1\nlevel: anchored\n', /^2:8 level: /],
  ])('is refused for %s', (_, yaml, wanted) => {
    expect(text(yaml)).toMatch(wanted);
  });
});
