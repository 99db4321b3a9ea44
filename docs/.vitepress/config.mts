import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitepress'
import { sidebar } from './pages.mts'
import { fuzzy, tokenize } from './search.mts'

const chinese = /[\p{Script=Han}\u3000-\u303f\uff00-\uffef“”‘’…—]/u
const repository = 'https://github.com/LiteyukiStudio/nonebot-plugin-liteyuki-comm'

export default defineConfig({
  title: 'LiteyukiBot',
  base: '/nonebot-plugin-liteyuki-comm/',
  srcExclude: ['node_modules/**'],
  locales: {
    root: {
      label: '简体中文',
      lang: 'zh-CN',
      description: '一个主进程，NoneBot2 在子进程里运行，它们之间是 Go 风格的通道和共享存储',
      themeConfig: {
        nav: [
          { text: '开始', link: '/guide/start' },
          { text: '概念', link: '/concepts/guarantees' },
          { text: '参考', link: '/reference/settings' },
          { text: '实例', link: '/recipes/pictures' },
          { text: '常见问题', link: '/faq' },
        ],
        sidebar: sidebar('', {
          guide: '指南', concepts: '概念', reference: '参考', recipes: '实例', '': '其他',
        }),
        outline: { level: [2, 3], label: '本页目录' },
        docFooter: { prev: '上一页', next: '下一页' },
        darkModeSwitchLabel: '外观',
        lightModeSwitchTitle: '切换到浅色',
        darkModeSwitchTitle: '切换到深色',
        sidebarMenuLabel: '目录',
        returnToTopLabel: '返回顶部',
        langMenuLabel: '切换语言',
        skipToContentLabel: '跳到正文',
        notFound: {
          title: '没有这一页',
          quote: '它可能改了名字，用上面的搜索找找看。',
          linkLabel: '回到首页',
          linkText: '回到首页',
        },
      },
    },
    en: {
      label: 'English',
      lang: 'en-US',
      description: 'One main process, NoneBot2 in child processes, and channels between them',
      themeConfig: {
        nav: [
          { text: 'Start', link: '/en/guide/start' },
          { text: 'Concepts', link: '/en/concepts/guarantees' },
          { text: 'Reference', link: '/en/reference/settings' },
          { text: 'Recipes', link: '/en/recipes/pictures' },
          { text: 'FAQ', link: '/en/faq' },
        ],
        sidebar: sidebar('en', {
          guide: 'Guide', concepts: 'Concepts', reference: 'Reference', recipes: 'Recipes',
          '': 'More',
        }),
        outline: { level: [2, 3] },
      },
    },
  },
  themeConfig: {
    socialLinks: [{ icon: 'github', link: repository }],
    search: {
      provider: 'local',
      options: {
        miniSearch: { options: { tokenize }, searchOptions: { fuzzy } },
        locales: {
          root: {
            translations: {
              button: { buttonText: '搜索', buttonAriaLabel: '搜索' },
              modal: {
                displayDetails: '显示详情',
                resetButtonTitle: '清空',
                backButtonTitle: '关闭',
                noResultsText: '没有找到',
                footer: { selectText: '打开', navigateText: '选择', closeText: '关闭' },
              },
            },
          },
        },
      },
    },
  },
  markdown: {
    /** Where a line of Chinese is broken there is no space: it would stand in the middle of a word. */
    config(md) {
      md.renderer.rules.softbreak = (tokens, i) => {
        const [before, after] = [tokens[i - 1]?.content ?? '', tokens[i + 1]?.content ?? '']
        return chinese.test(before.slice(-1)) && chinese.test(after.slice(0, 1)) ? '' : '\n'
      }
    },
  },
  /** Pages are there as Markdown too, for programs: llms.txt names them. */
  buildEnd(site) {
    for (const page of site.pages) {
      cpSync(join(site.srcDir, page), join(site.outDir, page))
    }
  },
})
