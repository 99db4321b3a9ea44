// What the API answers, as liteyuki_core/control/models.py has it. Browsers never see this file.

export type State = "starting" | "running" | "stopping" | "backoff" | "stopped" | "failed";
export type Level = "TRACE" | "DEBUG" | "INFO" | "SUCCESS" | "WARNING" | "ERROR" | "CRITICAL";

export interface Process {
  name: string;
  target: string;
  state: State;
  pid: number | null;
  started_at: string | null;
  uptime: number | null;
  restarts: number;
  exit_code: number | null;
  outcome: string | null;
  outcome_zh: string | null;
  cpu: number | null;
  cpu_seconds: number | null;
  memory: number | null;
  loop_lag: number | null;
  queue: number;
  depends_on: string[];
}

export interface Account {
  adapter: string;
  id: string;
  process: string;
  node: string | null;
  state: "online" | "offline" | "disconnected";
  since: string;
  nickname: string;
}

export interface Status {
  version: string;
  node: string | null;
  pid: number;
  directory: string;
  started_at: string;
  uptime: number;
  ok: boolean;
  dead_letters: number;
  memory: number | null;
  cpu_seconds: number | null;
  processes: Process[];
  accounts: Account[];
}

export interface NodeProcess {
  name: string;
  state: State;
  pid: number | null;
  restarts: number;
  started_at: string | null;
  uptime: number | null;
}

export interface Node {
  name: string;
  this: boolean;
  state: "running" | "stopped" | "gone";
  ok: boolean;
  seen: string;
  channels: number;
  processes: NodeProcess[];
  accounts: Account[];
}

export interface Channel {
  name: string;
  sent: number;
  acknowledged: number;
  redelivered: number;
  dropped: number;
  backlog: number;
  capacity: number;
  bytes: number;
}

export interface End {
  process: string | null;
  side: "owner" | "other" | "queue";
  receives: boolean;
  held: number;
  waiting: number;
}

export interface ChannelEnds extends Channel {
  ends: End[];
}

export interface Message {
  time: string;
  channel: string;
  number: number;
  direction: "out" | "in" | "queue";
  kind: "message" | "request";
  sender: string | null;
  receiver: string;
  size: number;
  form: "text" | "bytes" | "pickle";
  redelivered: boolean;
  body: string | null;
}

export interface DeadLetter {
  id: string;
  channel: string;
  process: string;
  crashes: number;
  size: number;
  time: string;
}

export interface DeadLetterContent extends DeadLetter {
  plain: boolean;
  value: unknown;
  text: string | null;
}

export interface StoreKey {
  key: string;
  size: number;
  expires_in: number | null;
  persistent: boolean;
}

export interface StoreValue extends StoreKey {
  plain: boolean;
  value: unknown;
}

export interface Change {
  time: string;
  key: string;
  deleted: boolean;
  expired: boolean;
  size: number;
  plain: boolean;
  value: unknown;
}

export interface Line {
  id: string;
  position: string;
  time: string;
  process: string;
  level: Level | null;
  text: string;
}

export interface LogPage {
  lines: Line[];
  more: boolean;
  next: string | null;
  end: string;
}

export interface Setting {
  key: string;
  value: unknown;
  source: string | null;
  changed: boolean;
}

export interface Series {
  memory: (number | null)[];
  cpu: (number | null)[];
  lag: (number | null)[];
  messages: (number | null)[];
  queue: (number | null)[];
}

export interface Figures {
  step: number;
  end: string;
  main: Series;
  processes: Record<string, Series>;
}

// Of the page's own server.
export interface Session {
  right: "change" | "read";
  csrf: string;
  language: "zh" | "en";
  version: string;
  life: string;
  node: string;
}
