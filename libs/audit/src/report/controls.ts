/**
 * Which controls the evidence of a bundle is mapped to, as data, each with what it leaves open. "Mapped" means that an auditor finds evidence for the
 * control here; never that the control is met, which only an organisation can be. EU 2024/1689; ISO/IEC 42001:2023 Annex A; NIST SP 800-53 Rev. 5; TSC 2017.
 */
import type { AuditReport } from '@openexec/protocol';

type Control = AuditReport['controls'][number];

function mapped(framework: string, control: string, title: string, evidence: readonly string[], gap: string): Control {
  return { framework, control, title, status: 'mapped', evidence: [...evidence], gap };
}

const AI_ACT = 'EU AI Act';
const NIST = 'NIST SP 800-53 Rev. 5';
const SOC = 'SOC 2';

/** The table; the same in every report. */
export const CONTROLS: readonly Control[] = [
  mapped(
    AI_ACT,
    'Article 12',
    'Record-keeping',
    ['events.jsonl', 'checkpoint', 'report.json#runs'],
    'Whether the system is a high-risk one, and which events its risk management needs, is for its provider to say.',
  ),
  mapped(
    AI_ACT,
    'Article 14',
    'Human oversight',
    ['report.json#runs.approvals', 'report.json#runs.writs'],
    'That a vote was signed is shown; that the person was competent, informed and free to refuse is not.',
  ),
  mapped(
    AI_ACT,
    'Article 19',
    'Automatically generated logs',
    ['events.jsonl', 'MANIFEST', 'export.sigstore.json'],
    'Keeping them for six months or longer is for whoever holds the ledger; erased payloads are named and not shown.',
  ),
  mapped(
    'ISO/IEC 42001:2023',
    'A.6.2.8',
    'AI system recording of event logs',
    ['events.jsonl', 'report.json#runs.intents'],
    'In which phases of the life cycle logging must be enabled is for the management system to decide.',
  ),
  mapped(
    NIST,
    'AU-2, AU-3, AU-12',
    'Event logging, content and generation of audit records',
    ['events.jsonl', 'report.json#runs'],
    'What happens outside of the runtime is not logged here.',
  ),
  mapped(
    NIST,
    'AU-8',
    'Time stamps',
    ['events.jsonl'],
    "Times are those of the driving machine's clock; only an anchor or a witness bounds them from outside.",
  ),
  mapped(
    NIST,
    'AU-9, AU-10',
    'Protection of audit information, non-repudiation',
    ['checkpoint', 'proofs/', 'export.sigstore.json'],
    'How the keys are kept is said by assurance, and proved by nothing in this bundle.',
  ),
  mapped(
    NIST,
    'AU-6, AU-7',
    'Review, analysis and reporting; reduction and report generation',
    ['report.html', 'report.json', 'results.sarif', 'junit.xml'],
    'That anybody reviews the reports is for the organisation to show.',
  ),
  mapped(
    NIST,
    'AU-11',
    'Audit record retention',
    ['bundle.json'],
    'The bundle is what is retained; for how long is for the organisation to decide.',
  ),
  mapped(
    SOC,
    'CC8.1',
    'Change management',
    ['report.json#runs.change', 'changes/'],
    'Merging and deploying the result happen outside of the runtime.',
  ),
  mapped(
    SOC,
    'CC6.1',
    'Logical access',
    ['report.json#runs.writs', 'report.json#runs.intents'],
    'Which person holds a key is for the organisation to show.',
  ),
  mapped(
    SOC,
    'CC7.2',
    'Monitoring for anomalies',
    ['report.json#runs.undeclared', 'report.json#runs.violations'],
    'Only effects within the sandbox of a run are observed.',
  ),
];
