import { useState } from 'react';
import { Link } from 'react-router';
import { refusal, useSession } from '../api/session.ts';
import type { Agent } from '../api/types.ts';
import { Ago } from '../components/Time.tsx';
import { AGENT_ACTS, type AgentAct, AgentDialog } from './AgentDialog.tsx';
import styles from './Agents.module.css';

const JOBS_SHOWN = 6;

export function AgentRow({ agent }: { agent: Agent }) {
  return (
    <tr id={agent.id}>
      <td>
        <strong className={styles.name}>{agent.name}</strong>
        <div className={`mono muted ${styles.id}`}>{agent.id}</div>
      </td>
      <td>
        <span className={styles.state} data-state={agent.state}>
          {agent.state}
        </span>
      </td>
      <td>
        <Slots agent={agent} />
      </td>
      <td>
        {agent.jobs.slice(0, JOBS_SHOWN).map((job) => (
          <Link key={job} to={`/jobs/${job}`} className={styles.job}>
            #{job}
          </Link>
        ))}
        {agent.jobs.length > JOBS_SHOWN && (
          <span className="muted">+{agent.jobs.length - JOBS_SHOWN}</span>
        )}
      </td>
      <td>
        {agent.vmm} · {agent.accel}
        <div className={`muted ${styles.id}`}>cgroup {agent.cgroup}</div>
        {agent.accel === 'tcg' && (
          <div
            className={styles.note}
            title="Without /dev/kvm every instruction of a job is translated."
          >
            no KVM: jobs run slowly
          </div>
        )}
      </td>
      <td>{agent.version}</td>
      <td className={styles.seen}>
        {agent.last_seen_at ? <Ago at={agent.last_seen_at} /> : 'never'}
      </td>
      <td className={styles.actions}>
        <Actions agent={agent} />
      </td>
    </tr>
  );
}

function Slots({ agent }: { agent: Agent }) {
  const used = Math.max(0, agent.slots - agent.slots_free);
  return (
    <span className={styles.slots}>
      {agent.slots <= 32 && (
        <span className={styles.dots} aria-hidden="true">
          {Array.from({ length: agent.slots }, (_, slot) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: slots are numbered
            <span key={slot} data-used={slot < used} />
          ))}
        </span>
      )}
      <span className="number">
        {used} of {agent.slots} used
      </span>
      {agent.warm > 0 && <span className="muted">{agent.warm} warm</span>}
    </span>
  );
}

function Actions({ agent }: { agent: Agent }) {
  const session = useSession();
  const [asking, setAsking] = useState<AgentAct | null>(null);
  if (agent.state === 'revoked') return null;
  const why = refusal(session, 'operator', 'managing agents');
  const acts: AgentAct[] = [agent.state === 'draining' ? 'resume' : 'drain', 'revoke'];
  return (
    <>
      {acts.map((act) => (
        <button
          key={act}
          type="button"
          className="button small"
          aria-label={`${AGENT_ACTS[act]} ${agent.name}`}
          aria-disabled={why !== ''}
          title={why || undefined}
          onClick={() => why === '' && setAsking(act)}
        >
          {AGENT_ACTS[act]}
        </button>
      ))}
      {asking && <AgentDialog act={asking} agent={agent} onClose={() => setAsking(null)} />}
    </>
  );
}
