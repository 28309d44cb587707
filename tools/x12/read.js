// Reads an X12 file from the standard input with node-x12, in its strict mode, and writes the segments
// of its transaction sets as JSON. It ends with 1 and a message if the parser refuses the file.
import { readFileSync } from 'node:fs'
import { X12Parser, X12QueryEngine } from 'node-x12'

try {
  const interchange = new X12Parser(true).parse(readFileSync(0, 'utf8'))
  const query = new X12QueryEngine()
  const values = (reference) => query.query(interchange, reference).flatMap((r) => r.values.length ? r.values : [r.value])
  const sets = interchange.functionalGroups.flatMap((g) => g.transactions)
  console.log(JSON.stringify({
    segments: sets.flatMap((s) => s.segments.map((x) => [x.tag, ...x.elements.map((e) => e.value)])),
    claims: values('CLM01'),
    authorizations: values('REF02:REF01["G1"]'),
    controlNumbers: values('REF02:REF01["F8"]'),
    rendering: values('NM109:NM101["82"]'),
    supervising: values('NM109:NM101["DQ"]'),
  }))
} catch (error) {
  console.error(error.message)
  process.exit(1)
}
