// How the search cuts texts and questions into terms, and which terms are alike.
// The site sends both functions to browsers as text, so they use nothing outside of themselves.

/**
 * Cut a text of a page, or what somebody searches for, into terms.
 *
 * A run of Chinese has no spaces, so its terms are all pairs of characters that stand side by side.
 * The last character is a term of its own: with it, each one begins a term, and so a question of
 * one character finds it. A question has pairs only.
 *
 * An identifier is a term as a whole and from each of its parts on: `LITEYUKI_MAX_REDELIVERIES`,
 * `MAX_REDELIVERIES`, `REDELIVERIES`; `ChannelBroken`, `Broken`. The search looks for terms that
 * begin with what is asked for, so every part of it finds it. The whole counts twice, so that
 * `set` finds `set` before `async_set`.
 *
 * `field` is the part of a page that a text is from; a question has none.
 */
export function tokenize(text: string, field?: string): string[] {
  const terms: string[] = []
  const normal = text.normalize('NFKC')
  for (const [run] of normal.matchAll(/\p{Script=Han}+|(?:(?!\p{Script=Han})[\p{L}\p{N}_-])+/gu)) {
    if (/\p{Script=Han}/u.test(run)) {
      const characters = [...run]
      for (let i = 0; i + 1 < characters.length; i++) {
        terms.push(characters[i] + characters[i + 1])
      }
      if (field !== undefined || characters.length === 1) terms.push(characters.at(-1)!)
      continue
    }
    const whole = run.replace(/^[_-]+|[_-]+$/g, '')
    if (!whole) continue
    terms.push(whole, whole)
    for (const part of whole.matchAll(/(?<=[_-])[^_-]|(?<=\p{Ll})\p{Lu}/gu)) {
      terms.push(whole.slice(part.index))
    }
  }
  return terms
}

/** Return how much of a term may be misspelled. In a short one every letter tells: hot, bot, not. */
export function fuzzy(term: string): number | false {
  return term.length > 4 && 0.2
}
