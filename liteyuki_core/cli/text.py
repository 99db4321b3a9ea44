"""The texts of the command line, in English and Chinese, as LITEYUKI_LOG_LANG says.

English texts stand where they are used. What the bot itself answers stays English.
"""

from __future__ import annotations

from ..config import Settings
from ..errors import ConfigError
from ..language import use


def _language() -> str:
    try:
        return Settings.load().log_lang
    except ConfigError:
        return Settings().log_lang  # `liteyuki config explain` says what is wrong.


def t(text: str) -> str:
    """Return a text in the user's language."""
    return CHINESE[text] if LANGUAGE == "zh" else text


LANGUAGE = _language()
use(LANGUAGE)

CHINESE = {
    # -- commands
    "Ask and command the LiteyukiBot of this directory.": "查询和控制当前目录里的 LiteyukiBot。",
    "The bot's directory; this one if not given.": "机器人所在的目录，默认为当前目录。",
    "Write JSON.": "输出 JSON。",
    "Show the processes and how they are.": "显示各个进程及其状况。",
    "Show it again every 2 seconds, until Ctrl+C.": "每 2 秒刷新一次，按 Ctrl+C 结束。",
    "Ask this node of the cluster, not the bot of this directory.": (
        "查询和控制集群里的这个节点，而不是当前目录的机器人。"
    ),
    "Show the nodes of the cluster, and how they are.": "显示集群的各个节点及其状况。",
    "Show the accounts, in a cluster those of all nodes.": "显示账号，在集群里显示所有节点的账号。",
    "Start processes, and wait until they run.": "启动进程，并等到它们运行起来。",
    "Stop processes, and wait until they have ended.": "停止进程，并等到它们结束。",
    "Restart processes, and wait until they run again.": "重启进程，并等到它们重新运行。",
    "Return at once.": "立即返回，不等待。",
    "Seconds to wait.": "等待的秒数。",
    "Wait until a process runs, or has stopped.": "等到一个进程运行起来，或停止。",
    "What to wait for.": "等待哪种状态。",
    "Show the last lines of the log.": "显示日志的最后几行。",
    "Go on with those to come.": "继续显示之后的行。",
    "How many lines.": "多少行。",
    "Only this level and above.": "只显示此等级及以上。",
    "Only lines with this text.": "只显示含有此文字的行。",
    "Show the channels and what went over them.": "显示各个通道及其消息数。",
    "Send JSON on a channel, from the main process.": "从主进程向通道发送 JSON。",
    "Show the messages of a channel as they come, without what is in them.": (
        "实时显示通道里的消息，不显示其内容。"
    ),
    "Also what messages say that are texts.": "同时显示文本消息的内容。",
    "Show messages that were set aside, put them back or discard them.": (
        "显示被搁置的消息，放回或丢弃它们。"
    ),
    "Send a message again.": "重新发送一条消息。",
    "Throw a message away.": "丢弃一条消息。",
    "All of them.": "全部。",
    "Look at the shared store and change it.": "查看和修改共享存储。",
    "Show keys.": "显示键。",
    "Open the web page of the bot, and show a link to it.": "打开机器人的网页，并显示它的链接。",
    "The link is to let nobody change anything.": "链接只能查看，不能修改任何东西。",
    "Only show the link.": "只显示链接。",
    "It works once, within {seconds:.0f} s.": "{seconds:.0f} 秒内有效，只能用一次。",
    "From another machine, run this there first:": "要从另一台机器打开，请先在那台机器上运行：",
    "Show the value of a key.": "显示一个键的值。",
    "Set a key to JSON.": "把一个键设为 JSON 值。",
    "Seconds after which the key is gone.": "多少秒后此键消失。",
    "Delete a key.": "删除一个键。",
    "Show keys as they change.": "实时显示键的变化。",
    "Stop the bot and wait until it has ended.": "停止机器人，并等到它结束。",
    "Have the system start the bot, and start it now.": "让系统启动机器人，并且现在就启动它。",
    "Have the system start the bot no more.": "不再由系统启动机器人。",
    "The service's name; made of the directory's if not given.": "服务的名称，默认由目录名得出。",
    "Only show what would be written.": "只显示将要写入的内容。",
    "Print what a shell runs to complete commands and names.": (
        "输出 shell 用来补全命令和名称的脚本。"
    ),
    "Show the processes and their logs live; start, stop and restart them.": (
        "实时显示各个进程及其日志，并可启动、停止、重启它们。"
    ),
    "The settings.": "设置。",
    "Show each setting and where it comes from.": "显示每项设置及其来源。",
    "Start the bot: run FILE, which is bot.py if not given.": (
        "启动机器人：运行 FILE，默认为 bot.py。"
    ),
    "With the names of LiteyukiBot v6, as LITEYUKI_V6_COMPAT has it.": (
        "提供 LiteyukiBot v6 的接口，与 LITEYUKI_V6_COMPAT 相同。"
    ),
    "In the background; return when its processes run.": "在后台运行，等各个进程运行起来后返回。",
    "Look for what keeps a bot from running, and say what to do.": (
        "检查有什么妨碍机器人运行，并说明怎么办。"
    ),
    "Make a project that runs at once.": "创建一个可以立即运行的项目。",
    "With NoneBot, or with a plain Python child.": "带 NoneBot，或只带一个普通的 Python 子进程。",
    # -- status
    "NAME": "名称",
    "STATE": "状态",
    "PID": "PID",
    "UPTIME": "运行时间",
    "RESTARTS": "重启",
    "CPU": "CPU",
    "MEM": "内存",
    "LAG": "延迟",
    "ACCOUNTS": "账号",
    "NODE": "节点",
    "THIS": "本机器人",
    "PROCESSES": "进程",
    "ACCOUNT": "账号",
    "ADAPTER": "适配器",
    "gone": "失联",
    "node {node}: gone for {time}": "节点 {node}：失联 {time}",
    "node {node}: {name} is {state}": "节点 {node}：{name} {state}",
    "node {node}: {what}": "节点 {node}：{what}",
    "other nodes: {count} of {all} run: liteyuki nodes": (
        "其他节点：{count}/{all} 在运行，详情见 liteyuki nodes"
    ),
    "this bot is in no cluster: LITEYUKI_NATS_URL is not set": (
        "这个机器人不在集群里：没有设置 LITEYUKI_NATS_URL"
    ),
    "no account was online here yet": "还没有账号上线过",
    "online": "在线",
    "offline": "已离线",
    "disconnected": "已断开",
    "account {name} ({adapter}, {process}): {state} for {time}": (
        "账号 {name}（{adapter}，{process}）：{state} {time}"
    ),
    "QUEUE": "待处理",
    "starting": "启动中",
    "running": "运行中",
    "stopping": "停止中",
    "backoff": "等待重启",
    "stopped": "已停止",
    "failed": "失败",
    "LiteyukiBot {version}, pid {pid}, up {uptime}, {memory}": (
        "LiteyukiBot {version}，pid {pid}，已运行 {uptime}，{memory}"
    ),
    "{count} messages are set aside: liteyuki dead-letters": (
        "有 {count} 条消息被搁置：liteyuki dead-letters"
    ),
    "{name}: {outcome}": "{name}：{outcome}",
    "there are no processes": "没有进程",
    # -- tables
    "CHANNEL": "通道",
    "SENT": "已发送",
    "DONE": "已处理",
    "AGAIN": "重发",
    "DROPPED": "丢弃",
    "BACKLOG": "积压",
    "BYTES": "字节",
    "ID": "编号",
    "PROCESS": "进程",
    "CRASHES": "崩溃",
    "SIZE": "大小",
    "TIME": "时间",
    "KEY": "键",
    "EXPIRES": "过期",
    "KEPT": "持久",
    "VALUE": "值",
    "FROM": "来源",
    "yes": "是",
    "no": "否",
    "default": "默认值",
    "{source}; another value from the next start on": "{source}；下次启动时会变",
    "no messages are set aside": "没有被搁置的消息",
    "the store has no such keys": "存储里没有这样的键",
    # -- what happens
    "no bot runs here": "这里没有机器人在运行",
    "no bot runs here; liteyuki run starts one": "这里没有机器人在运行；用 liteyuki run 启动",
    "no bot runs here; it would start with these": "这里没有机器人在运行；它启动时将使用这些设置",
    "{name} is {state}": "{name} {state}",
    "waiting for {name} ...": "正在等待 {name} ……",
    "waiting for the bot to end ...": "正在等待机器人结束……",
    "waiting for the bot's processes ...": "正在等待机器人的进程……",
    "the bot has stopped": "机器人已停止",
    "the bot did not end within {timeout:g} s": "机器人没有在 {timeout:g} 秒内结束",
    "the bot has ended": "机器人已结束",
    "top needs a terminal; `liteyuki status` shows the same once": (
        "top 需要终端；`liteyuki status` 显示一次同样的内容"
    ),
    "top needs textual: {command}": "top 需要 textual：{command}",
    "restart": "重启",
    "stop": "停止",
    "start": "启动",
    "quit": "退出",
    "{verb} {name}?": "{verb} {name}？",
    "this is for the other processes; `liteyuki shutdown` ends main": (
        "这只对其他进程有效；`liteyuki shutdown` 结束主进程"
    ),
    "the service {name} is installed: {path}": "服务 {name} 已安装：{path}",
    "a bot runs here already; the service starts the next one": (
        "这里已经有机器人在运行，下一次由服务启动"
    ),
    "it starts when you log in; with the machine after: loginctl enable-linger": (
        "它在你登录时启动；要随机器启动，请运行：loginctl enable-linger"
    ),
    "there is no service {name}": "没有服务 {name}",
    "the service {name} is removed": "服务 {name} 已移除",
    "there are services for Linux and Windows alone: start it with `liteyuki run`": (
        "只支持 Linux 和 Windows 的服务，请用 `liteyuki run` 启动"
    ),
    "the service {name} is for {directory}; choose another --name": (
        "服务 {name} 属于 {directory}，请用 --name 另选名称"
    ),
    "{why}; run this yourself: {commands}": "{why}；请自行运行：{commands}",
    "{command} is not here": "这里没有 {command}",
    "{count} lines were lost: they came too quickly": "丢了 {count} 行：来得太快",
    "{count} messages were not shown: they came too quickly": "有 {count} 条消息没有显示：来得太快",
    "request": "请求",
    "again": "重发",
    "{count} changes were not shown: they came too quickly": "有 {count} 次变化没有显示：来得太快",
    "{key} has expired": "{key} 已过期",
    "{key} is deleted": "{key} 已删除",
    "{key} is set to {size} that are no plain data": "{key} 已设置，内容有 {size}，不是普通数据",
    "the key {key} is set": "键 {key} 已设置",
    "the key {key} is deleted": "键 {key} 已删除",
    "the store has no key {key}": "存储里没有键 {key}",
    "the value of {key} is {size} bytes that are no plain data; nothing is rebuilt here": (
        "{key} 的值有 {size} 字节，不是普通数据，这里不会还原它"
    ),
    "sent": "已发送",
    "this is no JSON: {error}": "这不是 JSON：{error}",
    "put back: {count}": "已放回：{count}",
    "discarded: {count}": "已丢弃：{count}",
    "name a message, or say --all": "请写出消息编号，或使用 --all",
    # -- run
    "there is no file {file} in {directory}": "{directory} 里没有文件 {file}",
    "a bot runs here already, with pid {pid}": "这里已有机器人在运行，pid 为 {pid}",
    "the bot runs (pid {pid}); its log: {path}": "机器人已在运行（pid {pid}），日志：{path}",
    "the bot has ended with exit code {code}; it wrote:": "机器人已退出，退出码 {code}，它写道：",
    "not all processes run after {timeout:g} s; the log: {path}": (
        "{timeout:g} 秒后仍有进程未运行，日志：{path}"
    ),
    "a process does not run; the log: {path}": "有进程没有运行，日志：{path}",
    "LITEYUKI_CONTROL is false: without the control socket nobody sees when it runs": (
        "LITEYUKI_CONTROL 为 false：没有控制套接字就无法得知它是否在运行"
    ),
    # -- doctor and init
    "not installed: {packages}": "没有安装：{packages}",
    "NoneBot's event loop will be asyncio's own": "NoneBot 的事件循环将是 asyncio 自带的",
    "uvloop is quicker: {command}": "uvloop 更快：{command}",
    "NoneBot's event loop will be uvloop's": "NoneBot 的事件循环将是 uvloop",
    "there is no bot.py in {directory}": "{directory} 里没有 bot.py",
    "go to the project's directory, or make a project: liteyuki init": (
        "请进入项目目录，或新建一个项目：liteyuki init"
    ),
    "{directory} can be written to": "{directory} 可以写入",
    "{directory} can't be written to": "{directory} 无法写入",
    "the bot keeps its lock and its control socket there: change its owner or mode": (
        "机器人的锁和控制套接字放在那里：请修改其所有者或权限"
    ),
    "the settings are allowed: liteyuki config explain": "设置没有问题：liteyuki config explain",
    "other users can read {file}, which has secrets": "其他用户可以读取 {file}，里面有密钥",
    "the log and the store need space: make some": "日志和存储需要空间：请清理一些",
    "{free} are free on this disk": "磁盘剩余 {free}",
    "a bot runs here: liteyuki status": "这里有机器人在运行：liteyuki status",
    "a bot runs here, but its control socket does not answer": (
        "这里有机器人在运行，但它的控制套接字没有应答"
    ),
    "see its log: LITEYUKI_CONTROL may be false, or the bot hangs": (
        "请看它的日志：LITEYUKI_CONTROL 可能为 false，或者机器人卡住了"
    ),
    "PORT={port} is no port": "PORT={port} 不是端口",
    "nobody can listen on {address}: {error}": "无法监听 {address}：{error}",
    "this bot listens on {address}": "这个机器人正在监听 {address}",
    "{address} is taken": "{address} 已被占用",
    "{address} is taken by {name}, pid {pid}": "{address} 已被 {name} 占用，pid 为 {pid}",
    "end that program, or set another PORT in .env": "请结束那个程序，或在 .env 里另设 PORT",
    "{address} is free": "{address} 可用",
    "there is {path} already; nothing was written": "{path} 已存在，没有写入任何文件",
    "start it: {command}": "启动它：{command}",
    "test it: {command}": "测试它：{command}",
}
