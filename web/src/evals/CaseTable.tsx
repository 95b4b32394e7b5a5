import { useState } from 'react';
import type { EvalCase, EvalRunDetail } from '../api/types.ts';
import { count, duration, plural } from '../format.ts';
import styles from './Evals.module.css';
import { Score } from './Score.tsx';

// Failed cases first: they are what one comes for.
const byVerdict = (a: EvalCase, b: EvalCase): number => rank(a) - rank(b);
const rank = (each: EvalCase): number => (each.error ? 0 : each.passed === false ? 1 : 2);

const CASES_SHOWN = 200;

export function CaseTable({ run }: { run: EvalRunDetail }) {
  const [shown, setShown] = useState(CASES_SHOWN);
  const cases = run.cases_detail.toSorted(byVerdict);
  return (
    <div className={styles.cases}>
      <p className={styles.summary}>
        <strong>{run.suite}</strong>
        <span>{`${count(run.passed)} of ${plural(run.cases, 'case')} passed`}</span>
        <span>
          mean score <Score value={run.score_mean} />
        </span>
        <span>{`${count(run.input_tokens)} tokens in, ${count(run.output_tokens)} out`}</span>
        <span>{duration(run.duration_s)}</span>
        <span>{run.models.join(', ')}</span>
      </p>
      <table className="table">
        <caption className="visually-hidden">Cases of the run, failed ones first</caption>
        <thead>
          <tr>
            <th scope="col">Case</th>
            <th scope="col">Metric</th>
            <th scope="col">Result</th>
            <th scope="col">Score</th>
            <th scope="col">Model</th>
            <th scope="col" className="end">
              Tokens in
            </th>
            <th scope="col" className="end">
              Tokens out
            </th>
            <th scope="col" className="end">
              Latency
            </th>
          </tr>
        </thead>
        <tbody>
          {cases.slice(0, shown).map((each, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a case may occur once per model and try
            <CaseRow key={index} each={each} />
          ))}
        </tbody>
      </table>
      {shown < cases.length && (
        <p className={styles.more}>
          <button type="button" className="button" onClick={() => setShown(shown + 1000)}>
            Show more of the {count(cases.length)} cases
          </button>
        </p>
      )}
    </div>
  );
}

function CaseRow({ each }: { each: EvalCase }) {
  return (
    <tr>
      <td className={styles.name}>
        {each.case}
        {each.error && <p className={styles.error}>{each.error}</p>}
      </td>
      <td className={styles.name}>{each.metric}</td>
      <td>
        <Verdict each={each} />
      </td>
      <td>
        <Score value={each.score} />
      </td>
      <td className={styles.name}>{each.model}</td>
      <td className="end">{count(each.input_tokens)}</td>
      <td className="end">{count(each.output_tokens)}</td>
      <td className="end">{duration(each.duration_ms / 1000)}</td>
    </tr>
  );
}

function Verdict({ each }: { each: EvalCase }) {
  if (each.error) return <span className={styles.bad}>error</span>;
  if (each.passed === null) return <span className="muted">{each.label ?? 'not judged'}</span>;
  return (
    <span className={each.passed ? styles.good : styles.bad}>
      {each.passed ? 'passed' : 'failed'}
      {each.label && each.label !== 'pass' && each.label !== 'fail' && (
        <span className="muted"> · {each.label}</span>
      )}
    </span>
  );
}
