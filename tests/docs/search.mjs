// Searches a site in a real browser: node search.mjs DOCS BROWSER < questions
//
// DOCS has the node_modules with playwright-core. Standard input is a JSON object: for the address
// of a page, a list of what is typed into its search. Standard output has for each address a list
// of answers, each the addresses that were found, best first.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [docs, executablePath] = process.argv.slice(2)
const { chromium } = createRequire(join(docs, 'package.json'))('playwright-core')

const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-component-update',
    '--disable-sync', '--disable-background-networking',
  ],
})
try {
  const answers = {}
  for (const [address, questions] of Object.entries(JSON.parse(readFileSync(0, 'utf8')))) {
    const page = await browser.newPage()
    await page.goto(address)
    await page.locator('#local-search button').click()
    const input = page.locator('#localsearch-input')
    const found = page.locator('.results .result')
    answers[address] = []
    for (const words of questions) {
      await input.fill('') // What was found before goes first, so nobody takes that for the answer.
      await found.first().waitFor({ state: 'detached' })
      await input.fill(words)
      await page.locator('.results > .no-results, .results .result').first().waitFor()
      answers[address].push(
        await found.evaluateAll((all) => all.map((each) => decodeURI(each.href))),
      )
    }
    await page.close()
  }
  console.log(JSON.stringify(answers))
} finally {
  await browser.close()
}
