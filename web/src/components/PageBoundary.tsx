import { Component, type ReactNode } from 'react';
import { ErrorState } from './ErrorState.tsx';

// A page that breaks shows what broke; the rest of the dashboard goes on.
export class PageBoundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return <ErrorState error={this.state.error} onRetry={() => window.location.reload()} />;
  }
}
