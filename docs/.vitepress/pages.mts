// The pages of a language, as the sidebar has them.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const docs = fileURLToPath(new URL('..', import.meta.url))

/** The folders, and the order of what is in them. A page that is not named here comes last. */
const ORDER = {
  guide: [
    'start', 'why', 'channels', 'store', 'requests', 'workers', 'processes', 'restarts',
    'gateway', 'plugins', 'operating', 'web', 'cluster', 'testing', 'v6',
  ],
  concepts: ['architecture', 'guarantees', 'consistency', 'security'],
  reference: ['settings', 'errors', 'cli', 'http', 'metrics', 'api'],
  recipes: ['pictures', 'two-bots', 'napcat', 'backup', 'systemd', 'docker', 'windows'],
  '': ['benchmarks', 'faq'],
}

export type Folder = keyof typeof ORDER

/** Return the groups of the sidebar of the language in `folder`, with their names. */
export function sidebar(folder: string, names: Record<Folder, string>) {
  return (Object.keys(ORDER) as Folder[]).map((group) => ({
    text: names[group],
    items: pages(folder, group).map((page) => ({
      text: title(join(docs, folder, group, `${page}.md`)),
      link: `/${[folder, group, page].filter(Boolean).join('/')}`,
    })),
  })).filter((group) => group.items.length > 0)
}

function pages(folder: string, group: Folder): string[] {
  const inside = join(docs, folder, group)
  if (!existsSync(inside)) return []
  const order: string[] = ORDER[group]
  const place = (page: string) => (order.indexOf(page) + order.length + 1) % (order.length + 1)
  return readdirSync(inside)
    .filter((name) => name.endsWith('.md') && name !== 'index.md')
    .map((name) => name.slice(0, -'.md'.length))
    .sort((a, b) => place(a) - place(b) || a.localeCompare(b))
}

/** Return the first heading of a page. */
function title(file: string): string {
  const found = /^# (.+)$/m.exec(readFileSync(file, 'utf8'))
  if (!found) throw new Error(`${file} has no heading`)
  return found[1].replaceAll('`', '')
}
