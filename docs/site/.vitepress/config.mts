// The site of the pages in docs/. The menu is docs/site/menu.json; titles come from front matter.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'
import llmstxt from 'vitepress-plugin-llms'

const site = dirname(dirname(fileURLToPath(import.meta.url)))
const docs = dirname(site)
const repository = 'https://github.com/vestibule-auth/vestibule'
const base = process.env.DOCS_BASE ?? '/'

/** The pages that a line of the menu names: a path, or a folder with "*.md". */
function pagesOf(line: string): string[] {
  if (!line.includes('*')) return existsSync(join(docs, line)) ? [line] : []
  const folder = posix.dirname(line)
  return readdirSync(join(docs, folder)).filter((f) => f.endsWith('.md')).sort().map((f) => posix.join(folder, f))
}

function titleOf(page: string): string {
  const title = /^title: (.*)$/m.exec(readFileSync(join(docs, page), 'utf8'))?.[1] ?? page
  return title.replace(/^(["'])(.*)\1$/, '$2')
}

const address = (page: string) => '/' + page.replace(/README\.md$/, '').replace(/\.md$/, '')

const menu = (JSON.parse(readFileSync(join(site, 'menu.json'), 'utf8')) as { section: string; pages: string[] }[])
  .map(({ section, pages }) => ({ section, pages: pages.flatMap(pagesOf) }))
  .filter(({ pages }) => pages.length > 0)

/** Anchors as GitHub makes them, so that a link works in both places. internal/docs has the same. */
function slugify(title: string): string {
  return title.toLowerCase().replace(/[^\p{L}\p{N}\-_ ]/gu, '').replaceAll(' ', '-')
}

export default defineConfig({
  title: 'Vestibule',
  description: 'Authentication and permissions for Go HTTP services.',
  lang: 'en-US',
  base,
  srcDir: '..',
  srcExclude: ['site/**', 'snippets/**'],
  rewrites: (page) => page.replace(/(^|\/)README\.md$/, '$1index.md'),
  lastUpdated: false,
  // The theme's color for the language of a code block has too little contrast (WCAG AA: 4.5), and on
  // phones the last column of a table, which has the text, would be a few letters wide.
  head: [['style', {}, ':root { --vp-code-lang-color: var(--vp-c-text-2) !important } .vp-doc td { vertical-align: top } .vp-doc td:last-child { min-width: 14rem }']],
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      { text: 'Documentation', link: '/' },
      { text: 'Reference', link: '/reference/settings' },
      { text: 'Packages', link: 'https://pkg.go.dev/github.com/vestibule-auth/vestibule' },
    ],
    sidebar: menu.map(({ section, pages }) => ({
      text: section,
      collapsed: section === 'Decisions',
      items: pages.map((page) => ({ text: titleOf(page), link: address(page) })),
    })),
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: {
      pattern: `${repository}/edit/main/docs/:path`,
      text: 'Edit this page',
    },
    footer: { message: 'Apache License 2.0' },
  },
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' }, // comments of the default ones are too pale
    languageAlias: { caddy: 'nginx' },
    anchor: { slugify },
    config(md) {
      // Links out of docs/ lead to the repository: GitHub resolves them, the site has no such pages.
      md.core.ruler.push('repository-links', (state) => {
        const page: string = state.env.realPath ?? state.env.path
        for (const block of state.tokens) {
          for (const token of block.children ?? []) {
            const href = token.type === 'link_open' ? token.attrGet('href') : null
            if (!href || /^([a-z]+:|[/#])/i.test(href)) continue
            const [path, anchor] = href.split('#')
            const target = relative(docs, join(dirname(page), decodeURIComponent(path)))
            if (!target.startsWith('..') && !target.startsWith('snippets/')) {
              if (/\.(json|svg|png)$/.test(path)) token.attrSet('href', `${repository}/blob/main/docs/${target}`)
              if (/(^|\/)README\.md$/.test(path)) token.attrSet('href', (path.replace(/README\.md$/, '') || './') + (anchor ? '#' + anchor : ''))
              continue
            }
            const inRoot = posix.join('docs', target)
            token.attrSet('href', `${repository}/blob/main/${inRoot}${anchor ? '#' + anchor : ''}`)
          }
        }
      })
    },
  },
  vite: {
    plugins: [
      {
        // The pages lie outside of this folder, where Node finds no node_modules.
        name: 'pages-import-from-site',
        enforce: 'pre',
        resolveId(source, importer, options) {
          if (!/^vue(\/|$)/.test(source) || !importer?.startsWith(docs) || importer.startsWith(site)) return null
          return this.resolve(source, join(site, 'package.json'), { ...options, skipSelf: true })
        },
      },
      llmstxt({
        workDir: docs,
        ignoreFiles: ['site/**', 'snippets/**'],
        title: 'Vestibule',
        domain: process.env.DOCS_ORIGIN, // such as https://docs.example.com; links are relative without it
        sidebar: menu.map(({ section, pages }) => ({
          text: section === 'Decisions' ? 'Optional' : section,
          items: pages.map((page) => ({ text: titleOf(page), link: address(page) })),
        })),
      }),
    ],
    server: { fs: { allow: [docs] } },
  },
})
