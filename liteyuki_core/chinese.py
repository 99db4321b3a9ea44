"""The Chinese of what an operator reads in the log, by the English that stands in the code.

`language.py` imports it when the first text is said in Chinese. It has data alone.
"""

CHINESE = {
    # -- several rooms
    "process {name}": "进程 {name}",
    "process {name} {what}": "进程 {name} {what}",
    "process {name} is restarted: {why}": "重启进程 {name}：{why}",
    "channel {name}": "通道 {name}",
    "queue {name}": "队列 {name}",
    "a channel": "某个通道",
    "the main process": "主进程",
    "{first}; {second}": "{first}；{second}",
    "{what}: {why}": "{what}：{why}",
    "{first} and {second}": "{first} 和 {second}",
    "{who}: a message can't be rebuilt here and is skipped: {error!r}": (
        "{who}：有一条消息在这里无法还原，已跳过：{error!r}"
    ),
    # -- LiteyukiBot v6
    "LITEYUKI_V6_COMPAT is on, and nothing of LiteyukiBot v6 was imported: without it all is the "
    "same": "LITEYUKI_V6_COMPAT 已开启，但没有导入任何 LiteyukiBot v6 的内容：关掉它也一样",
    "LITEYUKI_V6_COMPAT is on, but liteyuki was imported from {file}: start the bot with `liteyuki "
    "run FILE`": (
        "LITEYUKI_V6_COMPAT 已开启，但 liteyuki 是从 {file} 导入的：请用 `liteyuki run 文件` "
        "启动机器人"
    ),
    "the names of LiteyukiBot v6 are those of liteyuki_core's compatibility": (
        "LiteyukiBot v6 的接口由 liteyuki_core 的兼容层提供"
    ),
    "the names of LiteyukiBot v6 are those of liteyuki_core's compatibility; liteyukibot "
    "{version}, which is installed, is not used": (
        "LiteyukiBot v6 的接口由 liteyuki_core 的兼容层提供，不使用已安装的 liteyukibot {version}"
    ),
    "a coroutine raised {error!r}": "协程抛出 {error!r}",
    "handler {name} raised {error!r}": "处理函数 {name} 抛出 {error!r}",
    "a rule raised {error!r}": "规则抛出 {error!r}",
    "the reply to {scene} could not be sent: {error!r}": "发往 {scene} 的回复没能发出：{error!r}",
    "there is no folder {folder} of plugins": "没有插件目录 {folder}",
    "there is no process {name}": "没有名为 {name} 的进程",
    "there is no configuration file {path}": "没有配置文件 {path}",
    "{path} is no configuration file: .yaml, .yml, .json and .toml are": (
        "{path} 不是配置文件：支持 .yaml、.yml、.json 和 .toml"
    ),
    "there is no folder {folder} of configuration files": "没有配置目录 {folder}",
    "configuration: {older} is an older name of {key}": "配置：{older} 是 {key} 的旧名字",
    "no changes are looked for in {folder}: it is not there": "不监视 {folder} 里的变化：它不存在",
    "channel {name}: this process receives on the end that it has sent on. What it has sent comes "
    "to another process: a channel within one process, as v6 had it, is queue.Queue or "
    "asyncio.Queue": (
        "通道 {name}：本进程在自己发送过消息的这一端接收，而发出的消息只会到另一个进程。"
        "像 v6 那样在同一个进程里收发，请用 queue.Queue 或 asyncio.Queue"
    ),
    # -- the bot
    "there is nothing to do: no process, program, plugin or hook was added; a NoneBot child is "
    'bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")': (
        "无事可做：没有添加任何进程、程序、插件或钩子；添加 NoneBot 子进程请用 "
        'bot.add_process("nonebot", "liteyuki_core.frameworks.nonebot:run")'
    ),
    "LiteyukiBot stops: {why}": "LiteyukiBot 开始停止：{why}",
    "asked to stop": "收到停止请求",
    "asked to restart": "收到重启请求",
    "stopping": "运行结束",
    "{name}: LiteyukiBot is stopping already; one more signal ends everything at once": (
        "{name}：LiteyukiBot 已经在停止；再来一个信号就立即结束一切"
    ),
    "{name} again: everything is ended at once": "再次收到 {name}：立即结束一切",
    "LiteyukiBot has stopped": "LiteyukiBot 已停止",
    "LiteyukiBot itself is broken: please report this; everything is stopped": (
        "LiteyukiBot 自身出错：请反馈这个问题；现在停止全部进程"
    ),
    "LiteyukiBot's loop hangs and could not stop in time; ended by force": (
        "LiteyukiBot 的事件循环卡住了，没能按时停止，已强制结束"
    ),
    "task {name} ignored its cancellation and is not waited for any more": (
        "任务 {name} 被取消后仍不结束，不再等待它"
    ),
    # -- hooks
    "{kind} hook {name} raised {error!r}": "{kind} 钩子 {name} 抛出 {error!r}",
    "{kinds} hooks of process {name} did not end in time and are not waited for any more": (
        "进程 {name} 的 {kinds} 钩子没有按时结束，不再等待"
    ),
    "{kind} hooks did not end in time and are not waited for any more": (
        "{kind} 钩子没有按时结束，不再等待"
    ),
    "on_account hooks are too slow: {count} changes of accounts wait for them, and they are not "
    "told of those that come now": (
        "on_account 钩子太慢：有 {count} 个账号变化在等待，新的变化不再通知它们"
    ),
    "on_after_shutdown hook {name} did not end in time and is not waited for any more": (
        "on_after_shutdown 钩子 {name} 没有按时结束，不再等待"
    ),
    # -- settings
    "{key} (in {place}) is no setting of LiteyukiBot: {hint}": (
        "LiteyukiBot 没有 {key} 这项设置（出现在 {place}）：{hint}"
    ),
    "{key} (in [tool.{table}] of {file}) is no setting of LiteyukiBot: this table has {keys}": (
        "LiteyukiBot 没有 {key} 这项设置（出现在 {file} 的 [tool.{table}]）：这张表里可以有 {keys}"
    ),
    "the environment": "环境变量",
    "did you mean {key}?": "你要写的是 {key} 吗？",
    "the settings are listed in README and .env.example": "全部设置见 README 和 .env.example",
    "{file} can't be locked ({error}): a second LiteyukiBot in this directory would not be "
    "noticed": "无法锁定 {file}（{error}）：本目录里若再启动一个 LiteyukiBot，将无法察觉",
    # -- the log
    "the log file": "日志文件",
    "the standard output": "标准输出",
    "{what} can't be written, lines are missing there: {error!r}; this is logged once, and writing "
    "is tried again for each line": (
        "{what}无法写入，那里会缺行：{error!r}；此后每一行仍会尝试写入，但不再提示"
    ),
    "{count} lines were dropped, because standard output or the log file did not take them in time "
    "({whose})": "丢弃了 {count} 行：标准输出或日志文件没能及时写入（{whose}）",
    # -- processes: start
    "process {name} started (pid {pid})": "进程 {name} 已启动（pid {pid}）",
    "process {name} waits for process {other}, on which it depends": (
        "进程 {name} 依赖进程 {other}，正在等它"
    ),
    "process {name} is ready, {seconds:.2f} s after its start": (
        "进程 {name} 已就绪，启动用了 {seconds:.2f} 秒"
    ),
    "{ready}, without {names}: see its errors above": (
        "{ready}，但 {names} 没有加载：见上方它的报错"
    ),
    "{shown} and {count} more": "{shown} 以及另外 {count} 个",
    "children are spawned, not forked, so they start slower: {why}": (
        "子进程改用 spawn 而不是 fork 启动，会慢一些：{why}"
    ),
    "process {name}: {error}": "进程 {name}：{error}",
    "process {name}: {target} raised": "进程 {name}：{target} 抛出了异常",
    "process {name}: {target} can't be imported": "进程 {name}：无法导入 {target}",
    # -- processes: end
    "process {name} is to stop": "进程 {name} 即将停止",
    "process {name}: it was stopped before it was started": "进程 {name}：还没启动就被停止",
    "was stopped before it was started": "还没启动就被停止",
    "can't be started": "无法启动",
    "has ended; its exit code is not known (something else in this process has waited for it)": (
        "已结束，退出码未知（主进程里有别的代码先等到了它）"
    ),
    "exited with code {code}": "已退出，退出码 {code}",
    "was ended by signal {number}": "被信号 {number} 结束",
    "was ended by signal {number} ({name})": "被信号 {number}（{name}）结束",
    "its own lines above say why": "原因见上方它自己的日志",
    "it is started again": "随即重启",
    "it is started again in {wait:.2g} s (restart {number} of at most {limit} times in {window:g} "
    "s)": "{wait:.2g} 秒后重启（第 {number} 次，{window:g} 秒内最多 {limit} 次）",
    "it could not start and is tried again in {delay:g} s": "它没能启动，{delay:g} 秒后再试",
    "it could not start and is not started again: fix it, then call restart_process({name!r}) or "
    "restart the bot": (
        "它没能启动，不再重启：修好之后调用 restart_process({name!r})，或重启机器人"
    ),
    "it was started again {limit} times in {window:g} s and is given up: fix it, then call "
    "restart_process({name!r}) or restart the bot": (
        "{window:g} 秒内已重启 {limit} 次，不再重启：修好之后调用 restart_process({name!r})，"
        "或重启机器人"
    ),
    "process {name}: its link is ended: {why}": "进程 {name}：断开与它的连接：{why}",
    "process {name} has ended its link but still runs: terminate (pid {pid})": (
        "进程 {name} 已断开连接却仍在运行：要求它终止（pid {pid}）"
    ),
    "process {name} has not stopped: terminate (pid {pid})": (
        "进程 {name} 没有停止：要求它终止（pid {pid}）"
    ),
    "process {name} has not stopped: kill (pid {pid})": (
        "进程 {name} 没有停止：强制杀死（pid {pid}）"
    ),
    "process {name} (pid {pid}) can't be ended": "进程 {name}（pid {pid}）无法结束",
    "process {name} is ended: whoever has called it waits no longer (pid {pid})": (
        "结束进程 {name}：调用方不再等待它（pid {pid}）"
    ),
    "process {name} has asked for a stop: {error}": "进程 {name} 请求停止：{error}",
    "process {name} has asked for a stop of {other}": "进程 {name} 请求停止 {other}",
    "process {name} has asked for a restart: {error}": "进程 {name} 请求重启：{error}",
    "process {name} has asked for a restart of {other}": "进程 {name} 请求重启 {other}",
    "process {name} is restarted: it has {size} of memory, and its max_memory is {limit}": (
        "重启进程 {name}：它占用内存 {size}，而 max_memory 为 {limit}"
    ),
    "process {name} is restarted: it is {at:%H:%M}": "重启进程 {name}：{at:%H:%M} 到了",
    "process {name}: the main process is gone; leaving": "进程 {name}：主进程已经不在，退出",
    "process {name}: the main process is gone: {why}; leaving": (
        "进程 {name}：主进程已经不在：{why}；退出"
    ),
    "process {name}: its main thread has not ended within {seconds:g} s; ended by force": (
        "进程 {name}：主线程在 {seconds:g} 秒内没有结束，已强制结束"
    ),
    "{name}: no Windows job can be made for it, so processes that it starts may outlive it: "
    "{error}": "{name}：无法为它创建 Windows 作业，它启动的进程可能会在它之后残留：{error}",
    # -- processes: health
    "process {name} is killed: it {wrong}": "强制杀死进程 {name}：它{wrong}",
    "has not answered for {seconds:.1f} s": "已 {seconds:.1f} 秒没有应答",
    "has an event loop that has been blocked for {seconds:.1f} s, in\n{stack}": (
        "的事件循环已卡住 {seconds:.1f} 秒，卡在\n{stack}"
    ),
    "  (its thread is not known)": "  （不知道是哪个线程）",
    "it is stopped by a signal": "它被信号暂停了",
    "a debugger holds it": "它被调试器暂停了",
    "it waits for a disk or a device": "它在等待磁盘或设备",
    "it computes: C code may hold the interpreter lock": "它在计算：可能有 C 代码占着解释器锁",
    "it waits: C code may hold the interpreter lock": "它在等待：可能有 C 代码占着解释器锁",
    "process {name} answers again, after {seconds:.1f} s": (
        "进程 {name} 恢复应答，中断了 {seconds:.1f} 秒"
    ),
    "process {name}: its event loop runs again, after {seconds:.1f} s": (
        "进程 {name}：事件循环恢复运行，卡住了 {seconds:.1f} 秒"
    ),
    "LiteyukiBot's event loop stood still for {seconds:.1f} s or more: something blocked it, or "
    "the process was stopped, or the machine was asleep": (
        "LiteyukiBot 的事件循环停顿了至少 {seconds:.1f} 秒：有代码阻塞了它，或者进程被暂停，"
        "或者机器休眠了"
    ),
    # -- programs
    "process {name} is ended, because it is not ready in time (pid {pid})": (
        "结束进程 {name}：它没有按时就绪（pid {pid}）"
    ),
    "process {name} does not read its standard input, so it is not told to stop: {error}": (
        "进程 {name} 不读取标准输入，无法通知它停止：{error}"
    ),
    "the guard of pid {pid} was ended; so all is killed": (
        "pid {pid} 的守护进程被结束了，因此全部强制杀死"
    ),
    # -- reload
    "LiteyukiBot is restarted: {why}": "重启 LiteyukiBot：{why}",
    "{path} has changed": "{path} 有改动",
    "{path} has changed, and {count} more": "{path} 有改动，另外还有 {count} 个文件",
    "{who} is not restarted until this error is fixed: {path}, {flaw}": (
        "{who} 暂不重启，请先改正这个错误：{path}，{flaw}"
    ),
    "files can't be watched, so nothing is reloaded until LiteyukiBot is restarted: {error}": (
        "无法监视文件，在 LiteyukiBot 重启之前不会热重载：{error}"
    ),
    # -- channels
    "{channel}: {count} messages wait {where}, where nobody receives; they were sent by {senders}. "
    "What others send on a channel goes to whoever made it: receive there, or send on a channel "
    "that is read": (
        "{channel}：{where}有 {count} 条消息在等待，而那里没有人接收；发送者是 {senders}。"
        "其他进程发到通道里的消息归创建它的进程：请在那里接收，或发到有人接收的通道"
    ),
    "wherever it is got": "取得它的进程里",
    "in the main process": "主进程里",
    "in process {name}": "进程 {name} 里",
    "{channel}: a message of {size} bytes was being handled in {crashes} crashes of process "
    "{processes} in a row and is set aside; bot.dead_letters() has it, to be put back or "
    "discarded": (
        "{channel}：进程 {processes} 连续 {crashes} 次在处理同一条消息（{size} 字节）时崩溃，"
        "已搁置这条消息；可以用 bot.dead_letters() 取得它，放回或丢弃"
    ),
    "{channel}: {count} messages came after process {name} had ended; they wait until it is "
    "started again, and so do later ones": (
        "{channel}：进程 {name} 结束之后来了 {count} 条消息；它们和之后的消息都会等到它再次启动"
    ),
    "{channel}: {count} messages came after the other side had closed and are dropped; later ones "
    "are dropped too": "{channel}：对方关闭之后来了 {count} 条消息，已丢弃；之后的也会丢弃",
    "{channel} has ended with {count} messages sent and not acknowledged": (
        "{channel} 已结束，还有 {count} 条已发送的消息没有得到确认"
    ),
    "more lines about channels in this second are left out": "这一秒内关于通道的其余日志已省略",
    "channel {name}: closed with {count} messages unread": (
        "通道 {name}：关闭时还有 {count} 条消息没有读"
    ),
    "channel {name}: {count} messages that were sent while it closed are dropped": (
        "通道 {name}：关闭期间发送的 {count} 条消息已丢弃"
    ),
    "channel {name}: {count} messages could not be handed to the main process within "
    "{seconds:.1f} s and are lost": (
        "通道 {name}：{count} 条消息没能在 {seconds:.1f} 秒内交给主进程，已丢失"
    ),
    "(closed)": "（已关闭）",
    "{channel}: a request that nobody waits for any more has failed: {error!r}": (
        "{channel}：一个已没有人等待答复的请求失败了：{error!r}"
    ),
    # -- callbacks
    "callback {name}": "回调 {name}",
    "on_request callback {name}": "on_request 回调 {name}",
    "filter {name}": "过滤函数 {name}",
    "on_end {name}": "on_end 回调 {name}",
    "a task that a callback has started": "回调启动的任务",
    "a function of {who}": "{who} 的函数",
    "{who}: {what} raised {error!r}": "{who}：{what} 抛出 {error!r}",
    "{who}: {what} was cancelled": "{who}：{what} 被取消了",
    "{who}: a pump failed": "{who}：传送消息时出错",
    "{who} raised {error!r}: this process ends": "{who} 抛出 {error!r}：本进程结束",
    "{who}: its callbacks run on a loop of their own and not on NoneBot's; an `await "
    "bot.call_api(...)` there may never return; set DRIVER={driver}+liteyuki_core.frameworks."
    "nonebot, or load the plugin nonebot_plugin_liteyuki_comm before they are registered": (
        "{who}：它的回调运行在单独的事件循环上，而不是 NoneBot 的；在里面 "
        "`await bot.call_api(...)` 可能永远不会返回；请设置 "
        "DRIVER={driver}+liteyuki_core.frameworks.nonebot，或者在注册回调之前加载插件 "
        "nonebot_plugin_liteyuki_comm"
    ),
    "callbacks were registered before this process's event loop was known, so they run on a loop "
    "of their own; register them when the event loop runs": (
        "注册回调时还不知道本进程的事件循环，所以它们运行在单独的事件循环上；请等事件循环运行后再注册"
    ),
    # -- the store
    "shared_memory: watch {pattern!r}": "shared_memory：监视 {pattern!r}",
    "shared_memory: topic {pattern!r}": "shared_memory：主题 {pattern!r}",
    "{who}: over {count} messages wait for a callback that is too slow": (
        "{who}：回调太慢，有超过 {count} 条消息在等它"
    ),
    "{who}: {size} MB wait for a callback that is too slow; what comes before it has taken some is "
    "dropped": "{who}：回调太慢，有 {size} MB 消息在等它；在它处理掉一些之前，新来的会丢弃",
    "{error}; it is left out of what was asked for": "{error}；返回的结果里不含它",
    "there is no memory for version cells ({error}): children ask for each value that they get": (
        "没有内存可用于版本标记（{error}）：子进程每次读取都要询问主进程"
    ),
    "the store's file {path} is {what}, but {path}-wal beside it holds changes: that is now "
    "{aside}-wal, and the store begins anew; to have back what it held, stop the bot and put both "
    "back": (
        "存储文件 {path} {what}，旁边的 {path}-wal 里却有改动：它已改名为 {aside}-wal，"
        "存储从空开始；要找回原来的内容，请停止机器人，把两个文件都放回原处"
    ),
    "missing": "不见了",
    "empty": "是空的",
    "the store's file {path} is damaged ({error}): it is now {aside}, and the store begins anew "
    "without what it held": (
        "存储文件 {path} 已损坏（{error}）：它已改名为 {aside}，存储从空开始，不含原来的内容"
    ),
    "the store's file {path} can't be written: {why}; {again}": (
        "存储文件 {path} 无法写入：{why}；{again}"
    ),
    "the store's file {path} can't be written anew: {why}; {again}": (
        "存储文件 {path} 无法重新写入：{why}；{again}"
    ),
    "what was set is kept in memory and tried again every {seconds:g} s: see that its disk has "
    "room": "改动保留在内存里，每 {seconds:g} 秒再试一次：请检查磁盘空间",
    "{why}; all that is kept is in memory and is written anew": (
        "{why}；要保存的内容都在内存里，将重新写入"
    ),
    "the store's file {path} is written again; nothing was lost": (
        "存储文件 {path} 恢复写入，没有丢失任何内容"
    ),
    "the store's file {path} is written anew with {count} keys": (
        "存储文件 {path} 已重新写入，共 {count} 个键"
    ),
    "what was in its place is now {aside}": "原来那个位置上的文件已改名为 {aside}",
    "the store's file {path} is left with {count} keys not written: {why}": (
        "存储文件 {path} 还有 {count} 个键没有写入：{why}"
    ),
    "it took over {seconds:g} s": "用时超过 {seconds:g} 秒",
    # -- plugins of the main process, chat
    "plugin {name} is loaded from {place}": "插件 {name} 已加载，来自 {place}",
    "plugin {name} could not be loaded: {why}": "插件 {name} 加载失败：{why}",
    "{error}": "插件没有加载：{error}",
    "plugin {name} ends the main process: {error!r}": "插件 {name} 结束了主进程：{error!r}",
    "plugin {name}: its __plugin_meta__ is ignored, because it is a {type} and no PluginMetadata "
    "of liteyuki_core.plugin": (
        "插件 {name}：忽略它的 __plugin_meta__，因为它是 {type}，不是 liteyuki_core.plugin 的 "
        "PluginMetadata"
    ),
    "no plugins are loaded from the folder {folder!r} in {here}: {why}": (
        "没有从 {here} 的目录 {folder!r} 加载插件：{why}"
    ),
    "handler {name}": "处理函数 {name}",
    "plugin {plugin}: handler {name}": "插件 {plugin} 的处理函数 {name}",
    "{who}: a rule or permission": "{who} 的规则或权限检查",
    "{who} raised {error!r} for a message in {scene} of bot {bot}": (
        "{who} 抛出 {error!r}，消息来自机器人 {bot} 的 {scene}"
    ),
    "channel {name}: only nonebot_plugin_liteyuki_comm may send on it, so a {type} is dropped": (
        "通道 {name}：只有 nonebot_plugin_liteyuki_comm 可以往里发送，已丢弃一个 {type}"
    ),
    # -- control
    "the control API has failed: {error!r}": "控制 API 出错：{error!r}",
    "there is no control socket, so the command line finds no bot here: {error}": (
        "没有控制套接字，命令行在这里找不到机器人：{error}"
    ),
    "the control socket is closed, because its server has failed: {error!r}": (
        "控制套接字已关闭，因为它的服务出错了：{error!r}"
    ),
    # -- NoneBot
    "NoneBot has no adapter and no plugin: none is listed in {file} of {here}": (
        "NoneBot 没有适配器也没有插件：{here} 的 {file} 里一个都没有列出"
    ),
    "NoneBot has no adapter and no plugin: none is listed in {file} of {here}, where the bot was "
    "started; its program is in {program}: start it there": (
        "NoneBot 没有适配器也没有插件：机器人是在 {here} 启动的，那里的 {file} 一个都没有列出；"
        "它的程序在 {program}：请到那里启动"
    ),
    "NoneBot could not start: {why}": "NoneBot 无法启动：{why}",
    "startup hook {name}, left running because it serves a channel, raised {error!r}": (
        "启动钩子 {name} 因为在处理通道而留在后台运行，它抛出 {error!r}"
    ),
    # -- nonebot_plugin_liteyuki_comm
    "nonebot_plugin_liteyuki_comm: a startup hook that waits in receive() will keep NoneBot from "
    "starting; add +liteyuki_core.frameworks.nonebot to DRIVER": (
        "nonebot_plugin_liteyuki_comm：在 receive() 里等待的启动钩子会使 NoneBot 无法启动；"
        "请给 DRIVER 加上 +liteyuki_core.frameworks.nonebot"
    ),
    "LITEYUKI_COMM_FORWARD is set, but {error}": "设置了 LITEYUKI_COMM_FORWARD，但是 {error}",
    "messages are not forwarded to the main process, which has handlers for them: "
    "LITEYUKI_COMM_FORWARD is not set": (
        "主进程有处理消息的函数，但消息没有转发给它：没有设置 LITEYUKI_COMM_FORWARD"
    ),
    "messages are not forwarded: the main process has no handler for them; register one with "
    "on_message of liteyuki_core.session, or turn LITEYUKI_COMM_FORWARD off": (
        "消息没有转发：主进程没有处理它们的函数；请用 liteyuki_core.session 的 on_message "
        "注册一个，或关闭 LITEYUKI_COMM_FORWARD"
    ),
    "messages of the adapter {adapter} are not forwarded: that needs {plugins}; install "
    "nonebot-plugin-liteyuki-comm[session]": (
        "适配器 {adapter} 的消息没有转发：这需要 {plugins}；请安装 "
        "nonebot-plugin-liteyuki-comm[session]"
    ),
    "{count} messages wait to be forwarded: the main process handles them more slowly than they "
    "come": "有 {count} 条消息等待转发：主进程处理得比来得慢",
    "{count} messages could not be forwarded before NoneBot shut down": (
        "NoneBot 关闭之前有 {count} 条消息没能转发"
    ),
    "a message could not be forwarded: {error}": "有一条消息没能转发：{error}",
    # -- a process that is not the child's yet
    "process {name}: its successor loads, while it goes on (pid {pid})": (
        "进程 {name} 继续运行，接替它的进程正在加载（pid {pid}）"
    ),
    "process {name} goes on as it was: its successor was given up, because {why}": (
        "进程 {name} 照旧运行，放弃了接替它的进程：{why}"
    ),
    "process {name} has no spare one until it is started anew, because {why}": (
        "进程 {name} 在下次启动之前没有备用进程：{why}"
    ),
    "it can't be started: {error!r}": "无法启动：{error!r}",
    "it {what}: see its lines above": "它{what}，见上面它的输出",
    "it lacks {names}: see its errors above": "它缺少 {names}，见上面的错误",
    "it has not loaded within {seconds:g} s": "{seconds:g} 秒内没有加载完",
    "every process has failed and none is started again: LiteyukiBot ends with exit code 1; "
    "run(keep=True) would keep it": (
        "所有进程都已失败，也不会再启动：LiteyukiBot 以退出码 1 结束；"
        "run(keep=True) 可以让它继续运行"
    ),
    "every process has failed": "所有进程都已失败",
    # -- accounts and alerts
    "account {name} of {adapter} in process {process}": "账号 {name}（{adapter}，进程 {process}）",
    "{account} is offline: it is connected, but not logged in": (
        "{account}已离线：连接正常，但没有登录"
    ),
    "{account} is online again": "{account}恢复在线",
    "{account} is still offline": "{account}仍然离线",
    "process {name} has {count} accounts: those that it tells of beyond that are not watched": (
        "进程 {name} 已有 {count} 个账号：再多的不再关注"
    ),
    "process {name}: restart_when_offline names {other!r}, and no such process was added; it can't "
    "be restarted": "进程 {name}：restart_when_offline 写的 {other!r} 没有添加过，无法重启它",
    "process {name}: restart_when_offline: {error}": "进程 {name}：restart_when_offline：{error}",
    "{count} alerts were sent within an hour: others are left out until it is over": (
        "一小时内已发送 {count} 条告警：这一小时内不再发送"
    ),
    "{count} alerts could not be sent before the bot had to end": (
        "机器人结束前还有 {count} 条告警没有发出"
    ),
    "an alert could not be sent to {service}: {why}": "告警没能发到 {service}：{why}",
    "an alert is given up that {service} has not taken: {text}": (
        "{service} 一直没有收下这条告警，已放弃：{text}"
    ),
    # -- systemd
    "systemd is not told how the bot is: NOTIFY_SOCKET: {why}": (
        "无法向 systemd 报告机器人的状态：NOTIFY_SOCKET：{why}"
    ),
    # -- NoneBot, and what superusers are told in the chat
    "NoneBot's console adapter is left out: it needs a terminal of its own, which a child process "
    "has not; for it, run this project with nb run": (
        "没有加载 NoneBot 的 console 适配器：它要独占终端，而子进程没有；"
        "需要它时请用 nb run 运行这个项目"
    ),
    "the end of a restart can't be told: {error!r}": "无法告知重启的结果：{error!r}",
    "bot {bot} was about to tell of the restart of {name} when its process died: nobody knows "
    "whether it was sent": (
        "机器人账号 {bot} 正要告知 {name} 已重启时进程崩溃了：不知道消息有没有发出去"
    ),
    "bot {bot} could not say that {name} restarts: {error!r}": (
        "机器人账号 {bot} 没能告知正在重启 {name}：{error!r}"
    ),
    "liteyuki status\nliteyuki restart [NAME]\nliteyuki logs [NAME] [LINES]": (
        "liteyuki status 查看状态\nliteyuki restart [进程名] 重启\n"
        "liteyuki logs [进程名] [行数] 查看日志"
    ),
    "restarting {name}": "正在重启 {name}",
    "{name} restarted in {seconds:.1f} s": "{name} 已重启，用时 {seconds:.1f} 秒",
    "LiteyukiBot {version}, up {uptime}, {memory}": (
        "LiteyukiBot {version}，已运行 {uptime}，{memory}"
    ),
    "{name}: {state}, {more}": "{name}：{state}，{more}",
    "{name}: {state}, up {uptime}, {restarts} restarts, {memory}": (
        "{name}：{state}，已运行 {uptime}，重启 {restarts} 次，{memory}"
    ),
    "online": "在线",
    "offline": "已离线",
    "disconnected": "已断开",
    "no lines": "没有日志",
    "starting": "启动中",
    "running": "运行中",
    "about to stop": "停止中",
    "waits for its restart": "等待重启",
    "stopped": "已停止",
    "failed": "失败",
    "process {name} is not restarted, because process {other} could not be": "进程 {name} "
    "不再重启，因为进程 {other} 没能重启成功",
    # -- the gateway
    "process {name}: an HTTP request failed: {error}": "进程 {name}：一个 HTTP 请求失败：{error}",
    "a WebSocket of {path} is closed: {error}": "{path} 的一个 WebSocket 连接已关闭：{error}",
    "a gateway's event loop has failed": "网关的事件循环出错",
    "process {name}: a WebSocket failed: {error}": "进程 {name}：一个 WebSocket 连接失败：{error}",
    "{count} events of a WebSocket of {path} were not handled: {why}": "{path} 的 WebSocket"
    " 有 {count} 个事件没有处理：{why}",
    "its client has left and connected anew": "客户端已离开并重新连接",
    "process {name} does not run": "进程 {name} 没有在运行",
    # -- the web page
    "the web page is open at {url}": "网页已打开：{url}",
    "there is no web page: {error}": "没有网页：{error}",
    "this link to the web page works once, within {seconds:.0f} s; `liteyuki web` makes others: "
    "{url}": (
        "网页链接（{seconds:.0f} 秒内有效，只能用一次，之后用 `liteyuki web` 获取新的）：{url}"
    ),
    "web page: session {name} ({right}) was begun by {how} from {address}": (
        "网页：来自 {address} 的会话 {name}（{right}）通过{how}登录"
    ),
    "the web page has failed: {error!r}": "网页出了错：{error!r}",
    "may change": "可修改",
    "may only look": "只读",
    "a link": "链接",
    "the password": "密码",
    "web page: a wrong password was given from {address}": "网页：{address} 输错了密码",
    "web page: {verb} {path} from {address}, session {name}": (
        "网页：{verb} {path}，来自 {address}，会话 {name}"
    ),
    "Password": "密码",
    "Log in": "登录",
    "Run this on the machine of the bot, in its directory; it gives you a link:": (
        "在机器人所在的机器上，进入它的目录运行下面的命令，就能得到登录链接："
    ),
    "This link was used before, or it is too old.": "这个链接已经用过，或者已过期。",
    "Too many wrong passwords. Wait a minute.": "密码错误次数过多，请等一分钟。",
    "This is not the password.": "密码不对。",
    "Go on to the page": "进入网页",
    "lock {key}: this node has lost it, though a process still uses it": (
        "锁 {key}：本节点没能及时续期，已经失去它，但还有进程在使用"
    ),
    "the store of the cluster has failed": "集群的存储出错",
    "the NATS server at {url} is gone: what needs other nodes waits until it is back": (
        "与 NATS 服务器 {url} 的连接断开了：需要其他节点的操作会等它恢复"
    ),
    "the NATS server at {url} is back": "NATS 服务器 {url} 已恢复连接",
    "node {node} is one of cluster {cluster} at {url}": (
        "节点 {node} 已加入集群 {cluster}（{url}）"
    ),
    "node {node} of the cluster is there": "集群的节点 {node} 在线",
    "queue {name}: node {node} is gone with {count} messages, which others get now; it may have "
    "handled them": (
        "队列 {name}：节点 {node} 不在了，它手里的 {count} 条消息改由别人处理；"
        "其中有些它可能已经处理过"
    ),
    "node {node} of the cluster is gone for over {seconds:g} s: its {count} channels are broken "
    "until it is back": (
        "集群的节点 {node} 消失超过 {seconds:g} 秒：它的 {count} 个通道不可用，直到它回来"
    ),
    "node {node} of the cluster is gone: what is sent to it waits": (
        "集群的节点 {node} 不在了：发给它的消息会等它回来"
    ),
    "an alert is given up that no other node has taken: {text}": (
        "放弃一条告警，没有其他节点接收它：{text}"
    ),
    "what another node has asked could not be answered": "没能应答另一个节点的查询",
    "node {node} has asked for this: {what} {name}": "应节点 {node} 的要求：{what} {name}",
    "node {node}: a task of the cluster has failed": "节点 {node}：集群的一个任务出了错",
    "another main process is node {node} now: this one has no part in the cluster any more; each "
    "needs a LITEYUKI_NODE of its own": (
        "另一个主进程现在是节点 {node}：本进程不再属于集群；每个主进程的 LITEYUKI_NODE 要互不相同"
    ),
    "channel {name} exists on node {node} too: here only processes of this node have it": (
        "通道 {name} 在节点 {node} 上也有：在这里只有本节点的进程能用到它"
    ),
    "channel {name}: {count} messages can't cross to node {node} and are skipped: text, bytes, "
    "numbers, None, and lists and dicts of them can": (
        "通道 {name}：{count} 条消息无法发往节点 {node}，已跳过："
        "可以发送的是文本、字节串、数字、None，以及由它们组成的列表和字典"
    ),
    "channel {name}: something came from the cluster that is no message of it: {error}": (
        "通道 {name}：集群里传来的内容不是它的消息：{error}"
    ),
}
