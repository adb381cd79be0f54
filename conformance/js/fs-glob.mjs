// The suite imports fs.globSync, which Node has from version 22 on; on 20 a module that has it
// stands in. The suite's authorization mode does not call it.

import * as fs from 'node:fs';
import { register } from 'node:module';

if (!('globSync' in fs)) {
  const shim = `export * from 'node:fs'; export { default } from 'node:fs';
    export function globSync() { throw new Error('fs.globSync is not in this Node'); }`;
  const hooks = `export async function resolve(specifier, context, next) {
    return specifier === 'fs' && context.parentURL?.includes('/conformance/dist/')
      ? { url: ${JSON.stringify(`data:text/javascript,${encodeURIComponent(shim)}`)}, shortCircuit: true }
      : next(specifier, context);
  }`;
  register(`data:text/javascript,${encodeURIComponent(hooks)}`);
}
