import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);
import{m as r}from"./chunk-RYN2LJ5S.mjs";import{promises as n}from"fs";async function c(){let t=["/etc/machine-id","/var/lib/dbus/machine-id"];for(let i of t)try{return(await n.readFile(i,{encoding:"utf8"})).trim()}catch(e){r.debug(`error reading machine id: ${e}`)}}export{c as getMachineId};
