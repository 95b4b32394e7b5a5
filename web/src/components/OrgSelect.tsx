interface Props {
  orgs: readonly string[];
  value: string; // "": all
  onChange: (org: string) => void;
}

// For those who see more than one org.
export function OrgSelect({ orgs, value, onChange }: Props) {
  const known = value && !orgs.includes(value) ? [value, ...orgs] : orgs;
  if (known.length < 2 && !value) return null;
  return (
    <select
      className="field"
      aria-label="Organisation"
      value={value}
      onChange={(event) => onChange(event.target.value)}
    >
      <option value="">All organisations</option>
      {known.map((org) => (
        <option key={org} value={org}>
          {org}
        </option>
      ))}
    </select>
  );
}
