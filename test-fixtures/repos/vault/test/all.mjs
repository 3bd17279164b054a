// Runs every test file beside this one, each as a program of its own.
import { readdirSync } from 'node:fs';

const here = new URL('.', import.meta.url);
for (const name of readdirSync(here).sort()) if (name.endsWith('.test.mjs')) await import(new URL(name, here).href);
console.log('all tests passed');
