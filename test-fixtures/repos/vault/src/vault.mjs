/** Whether a word opens the vault. */
export function opens(word) {
  return word === 'please';
}
