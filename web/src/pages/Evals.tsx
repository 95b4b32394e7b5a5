import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { evalRunsQuery } from '../api/queries.ts';
import type { EvalRun } from '../api/types.ts';
import { Command } from '../components/Command.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { Ago } from '../components/Time.tsx';
import { useTitle } from '../components/useTitle.ts';
import { Score } from '../evals/Score.tsx';
import { count, duration } from '../format.ts';

export default function Evals() {
  useTitle('Evals');
  const runs = useQuery(evalRunsQuery);
  if (runs.isPending) return <Loading what="the eval runs" />;
  if (runs.isError) {
    return (
      <ErrorState error={runs.error} doing="reading the eval runs" onRetry={() => runs.refetch()} />
    );
  }
  return (
    <div className="page">
      <h1>Evals</h1>
      {runs.data.items.length === 0 ? <Nothing /> : <RunTable runs={runs.data.items} />}
    </div>
  );
}

function Nothing() {
  return (
    <EmptyState title="No eval results yet">
      <p className="muted">
        A job that sends its results over OTLP or as eval2otel lines appears here with its scores,
        tokens and latency. Try the example suite:
      </p>
      <Command>make demo</Command>
    </EmptyState>
  );
}

function RunTable({ runs }: { runs: EvalRun[] }) {
  return (
    <div className="panel spaced">
      <table className="table">
        <caption className="visually-hidden">Eval runs, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Suite</th>
            <th scope="col">Repo</th>
            <th scope="col">Models</th>
            <th scope="col">Mean score</th>
            <th scope="col" className="end">
              Passed
            </th>
            <th scope="col" className="end">
              Tokens in / out
            </th>
            <th scope="col" className="end">
              Duration
            </th>
            <th scope="col" className="end">
              Started
            </th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={`${run.job} ${run.suite} ${run.run}`}>
              <td>
                <Link to={`/jobs/${run.job}?tab=eval`}>{run.suite || `job ${run.job}`}</Link>{' '}
                <span className="muted">#{run.job}</span>
              </td>
              <td>{`${run.org}/${run.repo}`}</td>
              <td>{run.models.join(', ')}</td>
              <td>
                <Score value={run.score_mean} />
              </td>
              <td className="end">{`${count(run.passed)} / ${count(run.cases)}`}</td>
              <td className="end">{`${count(run.input_tokens)} / ${count(run.output_tokens)}`}</td>
              <td className="end">{duration(run.duration_s)}</td>
              <td className="end muted">
                <Ago at={run.started_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
