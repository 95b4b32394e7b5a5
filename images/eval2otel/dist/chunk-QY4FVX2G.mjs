import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);
import*as e from"child_process";import*as c from"util";var i=c.promisify(e.exec),s=c.promisify(e.execFile);export{i as a,s as b};
