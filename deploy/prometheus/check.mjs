// Runs every query of the rules and of the dashboard in a Prometheus that scrapes a running server. Each must
// return a series, except the selectors in `absent`. The address of the server is in OMNI_URL, the address of
// Prometheus in PROMETHEUS_URL. The server has the demo practice.
import { readFileSync } from 'node:fs'

const absent = new Map([
  ['omnirapeutic_replication_lag_seconds', 'there is no standby'],
  ['omnirapeutic_wal_archive_failures_total', 'archive_mode is off'],
  ['omnirapeutic_backup_last_success_timestamp_seconds', 'there is no backup'],
  ['omnirapeutic_backup_last_run_timestamp_seconds', 'likewise'],
  ['omnirapeutic_eventual_reads_total', 'there is no standby for reads'],
  ['omnirapeutic_standby_lag_seconds', 'likewise'],
  ['omnirapeutic_standby_usable', 'likewise'],
  ['omnirapeutic_tls_certificate_expiry_timestamp_seconds', 'the server speaks plain HTTP'],
  ['omnirapeutic_transaction_retried_attempts_total', 'no attempt was repeated'],
  ['omnirapeutic_http_requests_total{status=~"5.."}', 'the server made no error'],
  ['omnirapeutic_http_requests_total{method="POST",route="/api/v1/appointments",status=~"5.."}', 'likewise'],
])
const server = `${process.env.OMNI_URL}/api/v1`
const prometheus = process.env.PROMETHEUS_URL

async function send(method, path, body, token) {
  const headers = { 'Content-Type': 'application/json' }
  if (token) headers.Authorization = `Bearer ${token}`
  const answer = await fetch(server + path, { method, headers, body: body && JSON.stringify(body) })
  return { status: answer.status, body: await answer.json().catch(() => ({})) }
}

// Makes each kind of request that the queries count.
async function makeTraffic() {
  const login = { email: 'admin@demo.test', password: 'Omni-Demo-Practice-2026' }
  const { body } = await send('POST', '/auth/login', login)
  if (!body.accessToken) throw new Error(`the demo's administrator cannot sign in: ${JSON.stringify(body)}`)
  await send('POST', '/auth/login', { ...login, password: 'wrong' })
  await send('POST', '/admin/verify', {}, body.accessToken)
  const stop = Date.now() + 12_000
  for (let i = 0; Date.now() < stop; i++) {
    await send('GET', '/patients?limit=1', undefined, body.accessToken)
    await send('POST', '/appointments', {}, body.accessToken) // refused, but counted
    const list = await send('GET', '/authorizations?limit=1', undefined, body.accessToken)
    const id = list.body.data?.[0]?.id
    if (id) await send('POST', `/authorizations/${id}/reserve`, { units: 1, expiresInSeconds: 60 }, body.accessToken)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function query(path, parameters = {}) {
  const answer = await fetch(`${prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`)
  const body = await answer.json()
  if (body.status !== 'success') throw new Error(`${path} ${JSON.stringify(parameters)}: ${body.error}`)
  return body.data
}

const series = async (expression) => (await query('query', { query: expression })).result.length

// The selectors of series in an expression. An alert's expression itself has no result while all is well.
const selectors = (expression) =>
  expression.match(/\b(?:omnirapeutic[a-z0-9_:]*|process_[a-z_]+|go_memstats_[a-z_]+|up)\b(?:\{[^}]*\})?/g) ?? []

await makeTraffic()
const rules = (await query('rules')).groups.flatMap((group) => group.rules)
const panels = JSON.parse(readFileSync(new URL('../grafana/omnirapeutic.json', import.meta.url))).panels
const targets = panels.flatMap((panel) => panel.targets ?? [])
const problems = []
const seen = new Set()
async function checkSelectors(expression) {
  for (const selector of selectors(expression)) {
    if (seen.has(selector)) continue
    seen.add(selector)
    const found = await series(selector)
    if (found === 0 && !absent.has(selector)) problems.push(`no series: ${selector}`)
    if (found > 0 && absent.has(selector)) console.log(`note: ${selector} has a series after all`)
  }
}
for (const rule of rules) {
  if (rule.health === 'err') problems.push(`rule ${rule.name}: ${rule.lastError}`)
  await checkSelectors(rule.query)
  if (rule.type === 'recording' && (await series(rule.query)) === 0) problems.push(`no result: ${rule.name}`)
}
for (const { expr } of targets) {
  const expression = expr.replaceAll('$__rate_interval', '15s')
  await checkSelectors(expression)
  const mayBeEmpty = / == [01]$/.test(expression) || selectors(expression).some((s) => absent.has(s))
  if ((await series(expression)) === 0 && !mayBeEmpty) problems.push(`no result: ${expression}`)
}
console.log(`${rules.length} rules and ${targets.length} queries of the dashboard checked`)
for (const problem of problems) console.error(problem)
process.exit(problems.length > 0 ? 1 : 0)
