/**
 * The machine around a command or a program: clock, chance, the user's places, the checkout around a folder. Must never print, and reads the
 * environment only as far as it is handed in.
 */
import { randomFillSync } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { instantFromMs, ok, type Result } from '@openexec/canon';
import { findPlaces, type Places } from '@openexec/config/places';
import type { Project, Surroundings } from './context.ts';
import { type Refusal, refuse } from './exit.ts';
import { safe } from './output.ts';

/** The surroundings of this process. `assets` is the folder of shipped files. */
export function createSurroundings(options: Pick<Surroundings, 'env' | 'cwd' | 'assets'>): Surroundings {
  return {
    ...options,
    places: findPlaces({ env: options.env, home: homedir(), root: process.getuid?.() === 0 }),
    clock: { now: () => instantFromMs(Date.now()) },
    randomness: { bytes: (count) => randomFillSync(new Uint8Array(count)) },
  };
}

/** Walks up to the folder that holds `.git`: a folder, or the file of a linked worktree. */
export function findProject(cwd: string, places: Places): Result<Project, Refusal> {
  if (!existsSync(cwd)) return refuse('workspace.notARepository', `there is no folder "${safe(resolve(cwd))}"`);
  for (let folder = realpathSync(cwd); ; folder = dirname(folder)) {
    if (existsSync(join(folder, '.git'))) return ok({ root: folder, folder: join(folder, '.openexec'), places });
    if (folder === dirname(folder)) return refuse('workspace.notARepository', `"${safe(resolve(cwd))}" is not inside a git checkout`);
  }
}
