/**
 * What the page says, in English and Chinese.
 *
 * A text with `|` has one form for one `n`, and another for more.
 */

const WORDS = {
  // The frame
  skip: ["Skip to the content", "跳到正文"],
  views: ["Views", "页面"],
  overview: ["Overview", "总览"],
  log: ["Log", "日志"],
  charts: ["Charts", "图表"],
  channels: ["Channels", "通道"],
  store: ["Store", "存储"],
  settings: ["Settings", "设置"],
  "other language": ["中文", "EN"],
  "other language label": ["切换到中文", "Switch to English"],
  "read only": ["read-only", "只读"],
  "read only why": ["This session may look, and change nothing.", "当前会话只能查看，不能做任何修改。"],
  live: ["live", "实时"],
  "no answer": ["no answer for {time}", "{time}没有响应"],
  "no answer long": ["The bot does not answer. What you see may be old; the page keeps trying.", "机器人没有响应，页面上的内容可能是旧的。页面会一直重试。"],
  over: ["This session is over: the bot was restarted, or you have logged out.", "会话已失效：机器人重启过，或者你已退出登录。"],
  "log in": ["Log in again", "重新登录"],
  "failed here": ["That did not work: {problem}", "操作失败：{problem}"],
  "offline problem": ["the bot does not answer", "机器人没有响应"],
  loading: ["Loading …", "加载中…"],
  cancel: ["Cancel", "取消"],
  close: ["Close", "关闭"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  // Units
  "d h": ["{days} d {hours} h", "{days} 天 {hours} 小时"],
  "h min": ["{hours} h {minutes} min", "{hours} 小时 {minutes} 分"],
  "min s": ["{minutes} min {seconds} s", "{minutes} 分 {seconds} 秒"],
  s: ["{seconds} s", "{seconds} 秒"],
  min: ["{minutes} min", "{minutes} 分钟"],
  h: ["{hours} h", "{hours} 小时"],
  d: ["{days} d", "{days} 天"],
  // Overview
  starting: ["starting", "启动中"],
  running: ["running", "运行中"],
  stopping: ["stopping", "停止中"],
  backoff: ["waits to restart", "等待重启"],
  stopped: ["stopped", "已停止"],
  failed: ["failed", "已失败"],
  online: ["online", "在线"],
  offline: ["offline", "离线"],
  disconnected: ["disconnected", "已断开"],
  problems: ["What needs you", "需要处理"],
  "all well": ["All is well: {running}, {online}.", "一切正常：{running}，{online}。"],
  "n run": ["{n} process runs|{n} processes run", "{n} 个进程在运行"],
  "n online": ["{n} account is online|{n} accounts are online", "{n} 个账号在线"],
  "no accounts": ["no accounts yet", "还没有账号"],
  "p failed": ["{name}: FAILED, and not started again{why}", "{name}：已失败，不会再自动启动{why}"],
  "p backoff": ["{name}: DOWN, and waits to be started again{why}", "{name}：没有运行，等待自动重启{why}"],
  "p starting": ["{name}: STARTING for {time}, and it is not ready yet", "{name}：启动了 {time}，仍未就绪"],
  "p account": ["{name}: {state}, account {account} {what} for {time}", "{name}：{state}，但账号 {account} {what} {time}"],
  "p lag": ["{name}: {state}, but its event loop has been stuck for {time}", "{name}：{state}，但事件循环已卡住 {time}"],
  "p full": ["channel {name} is nearly full: {n} of {capacity} messages wait", "通道 {name} 快满了：{n}/{capacity} 条消息在等待"],
  "p letters": ["{n} message is set aside, after crashes|{n} messages are set aside, after crashes", "有 {n} 条消息因连续崩溃被搁置"],
  why: ["; it {outcome}", "（{outcome}）"],
  look: ["Look", "查看"],
  processes: ["Processes", "进程"],
  "no processes": ["This bot has no processes besides the main process.", "除主进程外，没有其他进程。"],
  name: ["Name", "名称"],
  state: ["State", "状态"],
  uptime: ["Uptime", "运行时长"],
  restarts: ["Restarts", "重启次数"],
  "last exit": ["last exit {code}", "上次退出码 {code}"],
  cpu: ["CPU", "CPU"],
  memory: ["Memory", "内存"],
  lag: ["Loop lag", "循环延迟"],
  queue: ["Waiting", "待处理"],
  accounts: ["Accounts", "账号"],
  actions: ["Actions", "操作"],
  start: ["Start", "启动"],
  stop: ["Stop", "停止"],
  restart: ["Restart", "重启"],
  "log of": ["Log of {name}", "{name} 的日志"],
  "verb of": ["{verb} {name}", "{verb} {name}"],
  nodes: ["Other nodes", "其他节点"],
  node: ["Node", "节点"],
  gone: ["gone", "失联"],
  "processes of": ["Processes of node {node}", "节点 {node} 的进程"],
  "on node": ["{name} on node {node}", "节点 {node} 的 {name}"],
  "n of run": ["{running} of {n} process runs|{running} of {n} processes run", "{n} 个进程，{running} 个在运行"],
  "n of online": ["{online} of {n} account is online|{online} of {n} accounts are online", "{n} 个账号，{online} 个在线"],
  seen: ["heard of {time} ago", "{time}前还有消息"],
  "p gone": ["node {node}: GONE for {time}; what is sent to it waits", "节点 {node}：失联 {time}，发给它的消息会等它回来"],
  "c node": ["It is on node {node}, another machine perhaps.", "这个进程在节点 {node} 上，可能是另一台机器。"],
  "about bot": ["The bot", "机器人"],
  version: ["Version", "版本"],
  directory: ["Directory", "目录"],
  machine: ["Machine", "主机"],
  pid: ["PID", "PID"],
  "start title": ["Start {name}?", "启动 {name}？"],
  "stop title": ["Stop {name}?", "停止 {name}？"],
  "restart title": ["Restart {name}?", "重启 {name}？"],
  "c start": ["It starts, and gets what waits for it.", "进程会启动，并收到为它保留的消息。"],
  "c start waits": ["{n} message waits for it now.|{n} messages wait for it now.", "现在有 {n} 条消息在等它。"],
  "c stop": ["It is asked to end, with time to finish what it has in hand. Then it stays stopped until somebody starts it.", "先通知进程退出，并留时间让它处理完手头的事。之后保持停止，直到有人启动它。"],
  "c restart": ["It is asked to end, with time to finish what it has in hand. Then it starts again.", "先通知进程退出，并留时间让它处理完手头的事，然后重新启动。"],
  "c queue": ["Messages that come meanwhile wait for it, up to the capacity of each channel.", "这期间发给它的消息会排队，每个通道最多排到容量上限。"],
  "c waits": ["{n} message waits for it now, or is in its hands. None is lost.|{n} messages wait for it now, or are in its hands. None is lost.", "现在有 {n} 条消息在等待或正在处理，不会丢失。"],
  "c waits stop": ["{n} message waits for it now, or is in its hands: it stays until it starts again.|{n} messages wait for it now, or are in its hands: they stay until it starts again.", "现在有 {n} 条消息在等待或正在处理，会保留到它再次启动。"],
  "c account": ["Account {accounts} goes offline meanwhile.|Accounts {accounts} go offline meanwhile.", "这期间账号 {accounts} 会离线。"],
  "c needed": ["{names} needs it: it runs on, and once stopped it waits for this one to run.|{names} need it: they run on, and once stopped they wait for this one to run.", "依赖它的进程（{names}）会继续运行，但如果停止，要等它运行后才能再启动。"],
  "done start": ["{name} is being started", "正在启动 {name}"],
  "done stop": ["{name} is being stopped", "正在停止 {name}"],
  "done restart": ["{name} is being restarted", "正在重启 {name}"],
  // Log
  "log filter": ["Search the log", "搜索日志"],
  filters: ["Filters", "筛选"],
  process: ["Process", "进程"],
  "all processes": ["All processes", "全部进程"],
  level: ["Level", "级别"],
  "all levels": ["All levels", "全部级别"],
  "and above": ["{level} and above", "{level} 及以上"],
  account: ["Account", "账号"],
  "all accounts": ["All accounts", "全部账号"],
  moment: ["Moment", "时间"],
  clear: ["Clear", "清除"],
  download: ["Download", "下载"],
  "lines of the log": ["Lines of the log", "日志行"],
  follow: ["Follow", "跟随"],
  "follow new": ["Follow ({n} new)", "跟随（{n} 行新日志）"],
  "to now": ["Back to now", "回到现在"],
  following: ["Following", "跟随中"],
  "not following": ["Not following", "未跟随"],
  "from moment": ["From {time}", "{time} 起"],
  reconnecting: ["Connection lost. Trying again …", "连接断开，正在重试…"],
  "log begins": ["The log begins here.", "日志从这里开始。"],
  "log looks": ["Looking further back …", "继续向前查找…"],
  "look further": ["Nothing found so far. Look further back", "暂时没有找到，继续向前查找"],
  "no lines": ["No line matches.", "没有符合条件的日志。"],
  "no lines yet": ["No lines yet.", "还没有日志。"],
  lost: ["{n} line is missing here: it was forgotten before the page asked again.|{n} lines are missing here: they were forgotten before the page asked again.", "这里缺少 {n} 行：页面重新连接之前它们已被清除。"],
  "link moment": ["Link to this moment", "指向这一时刻的链接"],
  linked: ["The address leads to this moment now. It is copied.", "地址栏已指向这一时刻，链接已复制。"],
  "linked only": ["The address leads to this moment now.", "地址栏已指向这一时刻。"],
  "show all": ["… show all {size}", "…显示全部 {size}"],
  "whole line": ["Whole line", "完整内容"],
  // Charts
  span: ["Span", "时间范围"],
  hour: ["Last hour", "最近一小时"],
  day: ["Last day", "最近一天"],
  messages: ["Messages a second", "每秒消息数"],
  backlog: ["Waiting messages", "待处理消息"],
  now: ["now", "当前"],
  most: ["most", "最高"],
  "chart label": ["{title}. Arrow keys move along the time.", "{title}。用方向键沿时间移动。"],
  "no figures": ["No figures yet: the bot collects them since the page was opened.", "还没有数据：打开页面之后才开始采集。"],
  shown: ["Show {name}", "显示 {name}"],
  // Channels
  "dead letters": ["Set aside", "被搁置的消息"],
  "dead letters why": ["These messages were being handled in crash after crash. Look at them, then put them back or discard them.", "处理这些消息时进程连续崩溃。先查看内容，再决定放回还是丢弃。"],
  channel: ["Channel", "通道"],
  sent: ["Sent", "已发送"],
  done: ["Handled", "已处理"],
  again: ["Again", "重投"],
  dropped: ["Dropped", "丢弃"],
  bytes: ["Size", "大小"],
  "waiting of": ["{n} of {capacity}", "{n} / {capacity}"],
  "no channels": ["There are no channels.", "没有通道。"],
  "filter names": ["Filter by name", "按名称筛选"],
  back: ["All channels", "全部通道"],
  ends: ["Who holds it", "持有者"],
  side: ["Side", "端"],
  owner: ["owner", "创建方"],
  other: ["other side", "另一端"],
  "queue side": ["queue", "队列"],
  receives: ["Receives", "在接收"],
  nobody: ["nobody", "无"],
  yes: ["yes", "是"],
  no: ["no", "否"],
  held: ["In hand", "处理中"],
  "no ends": ["Nobody holds an end.", "没有进程持有它。"],
  peek: ["Live", "实时查看"],
  "peek start": ["Watch", "开始查看"],
  "peek stop": ["Stop watching", "停止查看"],
  "peek bodies": ["with their texts", "显示文本内容"],
  "peek waits": ["Waiting for messages …", "等待消息…"],
  "peek note": ["Looking takes nothing away. The last {n} are shown.", "查看不会取走消息。只显示最近 {n} 条。"],
  "peek lost": ["{n} message came too quickly to be shown.|{n} messages came too quickly to be shown.", "有 {n} 条消息来得太快，没有显示。"],
  time: ["Time", "时间"],
  "from to": ["{sender} → {receiver}", "{sender} → {receiver}"],
  "form text": ["text", "文本"],
  "form bytes": ["bytes", "字节"],
  "form pickle": ["pickle", "pickle"],
  request: ["request", "请求"],
  redelivered: ["again", "重投"],
  crash: ["Crashes", "崩溃"],
  crashes: ["{n} crash|{n} crashes", "崩溃 {n} 次"],
  "put back": ["Put back", "放回"],
  discard: ["Discard", "丢弃"],
  "letter title": ["Message of {channel}", "通道 {channel} 的消息"],
  "letter plain no": ["This is not plain data (text, numbers, lists). Only the process that handles it can rebuild it.", "这不是普通数据（文本、数字、列表），只有处理它的进程才能还原。"],
  "put back title": ["Put this message back?", "放回这条消息？"],
  "c put back": ["It is sent again on {channel}, behind what waits there. {process} crashed {n} time over it; if it crashes again, it is set aside again.|It is sent again on {channel}, behind what waits there. {process} crashed {n} times over it; if it crashes again, it is set aside again.", "它会重新发送到 {channel}，排在已有消息之后。{process} 处理它时崩溃过 {n} 次；如果再次崩溃，会再次被搁置。"],
  "discard title": ["Discard this message?", "丢弃这条消息？"],
  "c discard": ["It is gone for good: nobody handles it any more.", "丢弃后无法恢复，不会再有进程处理它。"],
  "done put back": ["The message is sent again.", "消息已重新发送。"],
  "done discard": ["The message is discarded.", "消息已丢弃。"],
  // Store
  prefix: ["Keys that begin with", "键的前缀"],
  key: ["Key", "键"],
  value: ["Value", "值"],
  expires: ["Expires", "有效期"],
  never: ["never", "永久"],
  persistent: ["kept on disk", "已持久化"],
  "new key": ["New key", "新建"],
  "no keys": ["No key begins so.", "没有以此开头的键。"],
  "store empty": ["The store is empty.", "存储是空的。"],
  "keys cut": ["Only the first {n} keys are shown. Type more of the key.", "只显示前 {n} 个键，请输入更长的前缀。"],
  edit: ["Key {key}", "键 {key}"],
  "json value": ["Value, as JSON", "值（JSON）"],
  ttl: ["Gone after, in seconds", "有效期（秒）"],
  "ttl hint": ["Empty: it stays", "留空则永久保留"],
  save: ["Save", "保存"],
  delete: ["Delete", "删除"],
  "not json": ["This is not JSON: {problem}", "不是合法的 JSON：{problem}"],
  "bad ttl": ["The seconds must be a number above 0.", "有效期必须是大于 0 的数字。"],
  "need key": ["The key is missing.", "请填写键。"],
  "not plain": ["This value is not plain data (text, numbers, lists). It can be replaced, and not shown.", "这个值不是普通数据（文本、数字、列表），无法显示，但可以替换。"],
  "expires was": ["It is gone in {time}. Saved with no time here, it stays.", "它将在 {time}后失效。不填有效期保存，则会永久保留。"],
  "changed meanwhile": ["Somebody has changed it while you were editing. Save once more to overwrite it.", "编辑期间它被修改过。再次保存将覆盖新的值。"],
  exists: ["There is such a key already. Save once more to overwrite it.", "这个键已经存在。再次保存将覆盖它。"],
  saved: ["{key} is saved", "已保存 {key}"],
  "delete title": ["Delete {key}?", "删除 {key}？"],
  "c delete": ["The value is gone for good, for all processes.", "值会被永久删除，所有进程都读不到它。"],
  deleted: ["{key} is deleted", "已删除 {key}"],
  watch: ["Watch changes", "查看变更"],
  unwatch: ["Stop watching", "停止查看"],
  changes: ["Changes", "变更"],
  "changes wait": ["Waiting for changes …", "等待变更…"],
  "ch deleted": ["deleted", "删除"],
  "ch expired": ["expired", "过期"],
  "ch set": ["set", "写入"],
  // Settings
  default: ["default", "默认"],
  environment: ["environment", "环境变量"],
  source: ["Set in", "来源"],
  changed: ["needs a restart", "重启后生效"],
  "changed n": ["{n} setting has a new value, which holds after a restart of the bot.|{n} settings have new values, which hold after a restart of the bot.", "有 {n} 项设置已修改，重启机器人后生效。"],
  "only changed": ["Only those that are set", "只看设置过的"],
  hidden: ["hidden", "已隐藏"],
  empty: ["empty", "空"],
  on: ["on", "开"],
  off: ["off", "关"],
  "no settings": ["No setting is named so.", "没有这个名称的设置。"],
  session: ["This session", "当前会话"],
  "right change": ["It may look and change.", "可以查看和修改。"],
  friend: ["Link for a friend", "分享给朋友"],
  "friend why": ["Whoever opens it may look, and change nothing. It can be used once.", "打开链接的人只能查看，不能修改。链接只能使用一次。"],
  "make link": ["Make a link", "生成链接"],
  "link seconds": ["Good for {time}, once:", "{time}内有效，仅限一次："],
  "log out": ["Log out", "退出登录"],
};

/** @typedef {keyof typeof WORDS} Key */

const KEPT = "liteyuki-language";

/** @type {"en" | "zh"} */
let current = first();

/** @returns {"en" | "zh"} */
function first() {
  try {
    const kept = localStorage.getItem(KEPT);
    if (kept === "en" || kept === "zh") return kept;
  } catch {
    // The browser keeps nothing for this page.
  }
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Return the page's language, as browsers name it. */
export function language() {
  return current === "zh" ? "zh-CN" : "en";
}

/** Have the page speak the other language from now on. */
export function switchLanguage() {
  current = current === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(KEPT, current);
  } catch {
    // Then it holds until the page is closed.
  }
}

/**
 * Return a text, with fields.
 * @param {Key} key
 * @param {Record<string, string | number>} [fields]
 */
export function t(key, fields) {
  let text = WORDS[key][current === "zh" ? 1 : 0] ?? "";
  if (fields === undefined) return text;
  if (text.includes("|")) text = text.split("|")[fields["n"] === 1 ? 0 : 1] ?? text;
  return text.replace(/\{(\w+)\}/g, (all, name) => String(fields[name] ?? all));
}
