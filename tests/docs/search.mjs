// Searches a site in a real browser. Usage: node search.mjs DOCS BROWSER < questions
//
// DOCS has the node_modules with playwright-core. Standard input is a JSON list of [address, words];
// standard output gets one list for each: the addresses of the pages that were found, best first.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
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
  const answers = []
  for (const [address, words] of JSON.parse(readFileSync(0, 'utf8'))) {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(address)
    await page.locator('#local-search button').click()
    await page.locator('#localsearch-input').fill(words)
    await page.locator('.results > .no-results, .results .result').first().waitFor()
    const found = page.locator('.results .result')
    answers.push(await found.evaluateAll((all) => all.map((each) => decodeURI(each.href))))
    await context.close()
  }
  console.log(JSON.stringify(answers))
} finally {
  await browser.close()
}
